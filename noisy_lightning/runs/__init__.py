"""What a run leaves: its folder, records, measures, summary."""
