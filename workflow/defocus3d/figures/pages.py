"""Pages (HTML) that need nothing but themselves."""

import base64
import html


def page(title: str, style: str, body: str) -> str:
    """A whole page with the style sheet `style` and `body`, both as they are."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{style}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>\n{body}</body></html>\n'


def picture(data: bytes, kind: str, alt: str) -> str:
    """An image with its data, of `kind` png or webp, within it."""
    return f'<img alt="{html.escape(alt)}" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
