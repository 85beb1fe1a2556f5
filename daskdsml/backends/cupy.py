"""Blocks on an NVIDIA card through CuPy. Found by name."""

from __future__ import annotations

from daskdsml.backends._array_api import ArrayBackend


class CuPy(ArrayBackend):
    """Runs losses from their own namespace code with CuPy's functions.

    Blocks are copied to the card as a pass meets them, sums come back in float64.
    """

    # Large enough to fill a card, small enough that a tile's temporaries fit any.
    tile_rows = 2**18
    tile_entries = read_entries = 2**26

    @property
    def xp(self):
        import array_api_compat.cupy

        return array_api_compat.cupy

    def layers(self):
        import cupy

        from daskdsml.backends._layers.array import ArrayKernels

        return ArrayKernels(cupy)

    def refuse(self) -> list[str]:
        """Reasons why CuPy cannot run here: not installed, or no card."""
        try:
            import array_api_compat.cupy  # noqa: F401
            import cupy
        except ImportError:
            return ["CuPy is not installed; install daskdsml[gpu-cuda12] or daskdsml[gpu-cuda13]"]
        try:
            if cupy.cuda.runtime.getDeviceCount() > 0:
                return []
        except cupy.cuda.runtime.CUDARuntimeError as error:
            return [f"CUDA reports: {error}"]
        return ["CUDA finds no device"]

    def get(self, array):
        import cupy

        return cupy.asnumpy(array)
