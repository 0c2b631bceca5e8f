"""How messages count and compare: plurals, and numbers with the digits that tell them apart."""

from typing import Literal


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is 1.

    >>> counted(1, "mistake"), counted(2, "mistake")
    ('1 mistake', '2 mistakes')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def apart(
    value: float, limit: float, form: Literal["f", "%"] = "f", *, places: int = 0
) -> tuple[str, str]:
    """Both numbers with equally many decimals: `places`, or more until they read differently.

    At most six. A share that misses its limit by little would else seem to reach it.

    >>> apart(0.899, 0.9, places=2), apart(0.5, 0.8, "%")
    (('0.899', '0.900'), ('50%', '80%'))
    """
    for digits in range(places, 7):
        texts = format(value, f".{digits}{form}"), format(limit, f".{digits}{form}")
        if texts[0] != texts[1]:
            break
    return texts
