"""Bars of a notebook: a widget or a line while they go, one line of text in what is saved."""

from __future__ import annotations

from importlib import import_module

from tqdm import tqdm
from tqdm.notebook import tqdm as tqdm_widget

WIDGET = "application/vnd.jupyter.widget-view+json"


def notebook_bar(**options):
    """A tqdm bar of a notebook: a widget if ipywidgets can be imported, or else a line."""
    try:
        import_module("ipywidgets")
    except ImportError:
        return tqdm(file=DisplayedLine(), **options)
    return WidgetBar(**options)


class WidgetBar(tqdm_widget):
    """A tqdm widget that gives way to its last line as it is closed.

    Of a widget a notebook would save a reference that nothing answers once the kernel has ended.
    """

    def __init__(self, **options):
        super().__init__(display=False, **options)
        view = {"version_major": 2, "version_minor": 0, "model_id": self.container.model_id}
        self._handle = _displayed({WIDGET: view, "text/plain": str(self)})

    def close(self) -> None:
        """Show the last state as text, and free the widgets."""
        if self.disable:
            return
        super().close()
        line = self.format_meter(**self.format_dict | {"rate": None})  # the rate of the whole
        self._handle.update({"text/plain": line}, raw=True)
        for widget in (*self.container.children, self.container):
            for part in (getattr(widget, "style", None), widget.layout, widget):
                if part is not None:
                    part.close()


class DisplayedLine:
    """A text file whose last line a notebook shows in place, and saves once."""

    encoding = "utf-8"

    def __init__(self):
        self._handle = None

    def write(self, text: str) -> None:
        """Show the text instead of that before."""
        line = text.strip()
        if not line:
            return
        if self._handle is None:
            self._handle = _displayed({"text/plain": line})
        else:
            self._handle.update({"text/plain": line}, raw=True)

    def flush(self) -> None:
        """Nothing waits to be shown."""


def _displayed(data):
    """A handle of what is shown, by MIME type."""
    from IPython.display import display  # there is one where there is a notebook

    return display(data, raw=True, display_id=True)
