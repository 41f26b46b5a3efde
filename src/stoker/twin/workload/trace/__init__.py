"""A trace from a file.

- `read`: the way from a path to a `Trace`. `formats`: whose columns a header's are.
- `chunks`: whole lines of a file, some megabytes at a time. `fields`: numbers, dates and names from such bytes at once.
- `csv_rows`, `json_rows`, `parquet`: rows from one kind of file each.
- `columns`: rows judged one by one, kept as columns. `refusal`: what is said of a file with too many bad rows.
"""
