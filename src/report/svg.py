"""Embedding of SVG figures in one HTML page."""

import re
from html import escape

_FONT = "'DejaVu Sans'"
_FALLBACK = "'DejaVu Sans', Verdana, sans-serif"  # Verdana has nearly the same widths
_SIZE = re.compile(r'width="([\d.]+)pt" height="([\d.]+)pt"')


def inline(svg: str, name: str, title: str) -> tuple[str, float]:
    """Return an SVG figure as an HTML element, and its width in CSS pixels.

    The XML header, the metadata and the fixed size are removed; every id gets ``name`` as a prefix, which makes ids
    unique in the page; and the title serves screen readers.

    Args:
        svg: What matplotlib writes.
        name: Of letters, digits and underscores; unique in the page.
        title: Plain text.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'(<[^<>]*\bid=")', rf"\1{name}-", body)
    body = re.sub(r'((?:xlink:)?href="#)', rf"\1{name}-", body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = body.replace(_FONT, _FALLBACK)
    size = _SIZE.search(body)
    width = float(size.group(1)) * 4 / 3 if size else 640.0
    body = _SIZE.sub(f'role="img" aria-labelledby="{name}-title"', body, count=1)
    head, bracket, rest = body.partition(">")
    return f'{head}{bracket}<title id="{name}-title">{escape(title, quote=False)}</title>{rest}', width
