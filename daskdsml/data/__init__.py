"""What the user holds becomes aligned, named, checked blocks of rows."""
