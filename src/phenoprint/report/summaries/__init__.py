"""Numbers of the report: functions from the tables of a screen to small frames."""
