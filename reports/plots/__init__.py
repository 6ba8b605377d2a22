"""matplotlib pictures as SVG strings that follow the page's colours; `canvas` alone imports matplotlib."""
