"""The engine: runs a pass over blocks on this machine's threads or on a Dask cluster."""
