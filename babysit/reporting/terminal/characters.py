"""Making any text fit for a terminal: nothing that moves the cursor, and ASCII where nothing else can be shown."""

from dataclasses import dataclass

from rich.text import Text

_ONE_FOR_ONE = str.maketrans("✓✗·┊│├┤┬┼└─–—−‘’“”×÷≈∂µ", "+x-:|+++++----''\"\"x/~du")
_LONGER = str.maketrans(
    {"…": "...", "→": "->", "←": "<-", "²": "^2", "³": "^3", "±": "+-", "≤": "<=", "≥": ">=", "≠": "!=", "∞": "inf"}
    | {"°": " deg", "√": "sqrt ", "Σ": "sum ", "∇": "grad ", "α": "alpha", "β": "beta", "γ": "gamma"}
    | {"ε": "epsilon", "λ": "lambda", "μ": "mu", "σ": "sigma"}
)
_ASCII = _ONE_FOR_ONE | _LONGER


def _shown(char: str) -> str:
    if char == "\n" or char.isprintable():
        return char
    return " " if char.isspace() else char.encode("unicode_escape").decode("ascii")


def plain(text: str, ascii_only: bool) -> str:
    """The text with control characters and lone surrogates escaped; in ASCII alone where that is asked for."""
    shown = "".join(map(_shown, text))
    return shown.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii") if ascii_only else shown


@dataclass(frozen=True)
class Pen:
    """Writes text for one console, never as markup.

    Args:
        ascii_only: Whether the console can show nothing but ASCII.
    """

    ascii_only: bool

    def write(self, text: str, style: str = "") -> Text:
        """The text, lines kept."""
        return Text(plain(text, self.ascii_only), style)

    def line(self, *parts: str | tuple[str, str]) -> Text:
        """The parts, each a text or a text with its style, on one line."""
        styled = [(part, "") if isinstance(part, str) else part for part in parts]
        return Text.assemble(*((plain(text.replace("\n", " "), self.ascii_only), style) for text, style in styled))
