"""Other processes: a gradient that is the mean over MPI's ranks, tiles computed by Dask's workers.

Nothing here knows a solver or an image: `tools/` joins them.
"""
