"""Train image classifiers on data whose labels are partly wrong."""

__version__ = "0.1.0"
