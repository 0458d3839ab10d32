"""The history of executions: a file in Jupyter's data folder that outlives engines."""
