"""The pages as Jinja2 strings: Flower's app bundle takes no .html, .css or .j2."""
