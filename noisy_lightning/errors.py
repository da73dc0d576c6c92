"""The one exception that means: what the user gave cannot work."""


class InputError(ValueError):
    """A value, file or folder that the user named cannot be used.

    The message says what was wrong, where (the config key or the file) and what to do. The command line prints
    it as one line and exits with code 2; everything else keeps its traceback.
    """
