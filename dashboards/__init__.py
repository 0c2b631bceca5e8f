"""What a person looks at: the report, its curves, panels, tables and trees."""
