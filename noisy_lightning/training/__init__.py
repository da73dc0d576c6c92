"""The LightningModule, what it measures, and the callbacks around it."""
