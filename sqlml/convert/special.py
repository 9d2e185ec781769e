"""Functions that ONNX Runtime does not have in double, as rational approximations.

The coefficients are those of the Cephes Mathematical Library (S. L. Moshier), which scipy
computes the normal distribution with: relative errors of about 1e-14.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlml.convert.graph import Graph

# The highest power first. Cephes, ndtr.c: P/Q and R/S of erfc, T/U of erf.
_ERFC_MIDDLE = (
    (
        2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687,
        48.6371970985681366614, 196.520832956077098242, 526.445194995477358631,
        934.528527171957607540, 1027.55188689515710272, 557.535335369399327526,
    ),
    (
        1.0, 13.2281951154744992508, 86.7072140885989742329, 354.937778887819891062,
        975.708501743205489753, 1823.90916687909736289, 2246.33760818710981792,
        1656.66309194161350182, 557.535340817727675546,
    ),
)  # fmt: skip
_ERFC_FAR = (
    (
        5.64189583547755073984e-1, 1.27536670759978104416, 5.01905042251180477414,
        6.16021097993053585195, 7.40974269950448939160, 2.97886665372100240670,
    ),
    (
        1.0, 2.26052863220117276590, 9.39603524938001434673, 12.0489539808096656605,
        17.0814450747565897222, 9.60896809063285878198, 3.36907645100081516050,
    ),
)  # fmt: skip
_ERF_NEAR = (
    (
        9.60497373987051638749, 90.0260197203842689217, 2232.00534594684319226,
        7003.32514112805075473, 55592.3013010394962768,
    ),
    (
        1.0, 33.5617141647503099647, 521.357949780152679795, 4594.32382970980127987,
        22629.0000613890934246, 49267.3942608635921086,
    ),
)  # fmt: skip
# Cephes, ndtri.c: P0/Q0 around the middle, P1/Q1 in the tails.
_QUANTILE_NEAR = (
    (
        -59.9633501014107895267, 98.0010754185999661536, -56.6762857469070293439,
        13.9312609387279679503, -1.23916583867381258016,
    ),
    (
        1.0, 1.95448858338141759834, 4.67627912898881538453, 86.3602421390890590575,
        -225.462687854119370527, 200.260212380060660359, -82.0372256168333339912,
        15.9056225126211695515, -1.18331621121330003142,
    ),
)  # fmt: skip
_QUANTILE_FAR = (
    (
        4.05544892305962419923, 31.5251094599893866154, 57.1628192246421288162,
        44.0805073893200834700, 14.6849561928858024014, 2.18663306850790267539,
        -1.40256079171354495875e-1, -3.50424626827848203418e-2, -8.57456785154685413611e-4,
    ),
    (
        1.0, 15.7799883256466749731, 45.3907635128879210584, 41.3172038254672030440,
        15.0425385692907503408, 2.50464946208309415979, -1.42182922854787788574e-1,
        -3.80806407691578277194e-2, -9.33259480895457427372e-4,
    ),
)  # fmt: skip
_TAIL = math.exp(-2)
"""ndtri.c: the tails are what is left of this, and right of one less this."""
# Cephes, atan.c, in the square.
_ATAN = (
    (
        -8.750608600031904122785e-1, -16.15753718733365076637, -75.00855792314704667340,
        -122.8866684490136173410, -64.85021904942025371773,
    ),
    (
        1.0, 24.85846490142306297962, 165.0270098316988542046, 432.8810604912902668951,
        485.3903996359136964868, 194.5506571482613964425,
    ),
)  # fmt: skip
_BENT = 0.66
"""atan.c: beyond it the argument is turned by an eighth of a circle."""


def normal_cdf(g: Graph, x: str) -> str:
    """The standard normal distribution function, as scipy.special.ndtr computes it."""
    scaled = g.node("Mul", x, _number(g, math.sqrt(0.5)))
    size = g.node("Abs", scaled)
    # The tail is 0 from 27 on, and polynomials of infinity would make it NaN.
    size = g.node("Where", g.node("Greater", size, _number(g, 30.0)), _number(g, 30.0), size)
    square = g.node("Mul", size, size)
    one, half = _number(g, 1.0), _number(g, 0.5)

    near = g.node("Mul", size, _ratio(g, square, _ERF_NEAR))
    middle = g.node("Less", size, _number(g, 8.0))
    share = g.node("Where", middle, _ratio(g, size, _ERFC_MIDDLE), _ratio(g, size, _ERFC_FAR))
    far = g.node("Mul", g.node("Exp", g.node("Neg", square)), share)
    rest = g.node("Where", g.node("Less", size, one), g.node("Sub", one, near), far)

    below = g.node("Less", scaled, _number(g, 0.0))
    signed = g.node("Where", below, g.node("Neg", near), near)
    centre = g.node("Add", half, g.node("Mul", half, signed))
    tail = g.node("Mul", half, rest)
    outside = g.node("Where", below, tail, g.node("Sub", one, tail))
    central = g.node("Less", size, _number(g, math.sqrt(0.5)))
    return g.node("Where", central, centre, outside)


def normal_quantile(g: Graph, p: str) -> str:
    """The inverse of `normal_cdf`, as scipy.special.ndtri computes it; beyond 1e-13 its value."""
    one, half, tail = _number(g, 1.0), _number(g, 0.5), _number(g, _TAIL)
    right = g.node("Greater", p, _number(g, 1.0 - _TAIL))
    y = g.node("Where", right, g.node("Sub", one, p), p)
    centred = g.node("Sub", y, half)
    square = g.node("Mul", centred, centred)
    curve = g.node("Mul", centred, g.node("Mul", square, _ratio(g, square, _QUANTILE_NEAR)))
    near = g.node("Mul", g.node("Add", centred, curve), _number(g, math.sqrt(2 * math.pi)))
    least = g.node("Max", y, _number(g, 1e-13))
    root = g.node("Sqrt", g.node("Mul", g.node("Log", least), _number(g, -2.0)))
    first = g.node("Sub", root, g.node("Div", g.node("Log", root), root))
    inverse = g.node("Div", one, root)
    far = g.node("Sub", first, g.node("Mul", inverse, _ratio(g, inverse, _QUANTILE_FAR)))
    far = g.node("Where", right, far, g.node("Neg", far))
    return g.node("Where", g.node("Greater", y, tail), near, far)


def arctan(g: Graph, x: str) -> str:
    """The inverse tangent of all real numbers."""
    one = _number(g, 1.0)
    size = g.node("Abs", x)
    large = g.node("Greater", size, one)
    inverse = g.node("Div", one, g.node("Where", large, size, one))
    small = g.node("Where", large, inverse, size)
    bent = g.node("Greater", small, _number(g, _BENT))
    turned = g.node("Div", g.node("Sub", small, one), g.node("Add", small, one))
    t = g.node("Where", bent, turned, small)
    square = g.node("Mul", t, t)
    curve = g.node("Mul", g.node("Mul", t, square), _ratio(g, square, _ATAN))
    angle = g.node("Add", t, curve)
    eighth = _number(g, math.pi / 4)
    angle = g.node("Where", bent, g.node("Add", angle, eighth), angle)
    angle = g.node("Where", large, g.node("Sub", _number(g, math.pi / 2), angle), angle)
    return g.node("Where", g.node("Less", x, _number(g, 0.0)), g.node("Neg", angle), angle)


def _number(g: Graph, value: float) -> str:
    return g.const(np.array([value]))


def _ratio(g: Graph, x: str, powers: tuple[Sequence[float], Sequence[float]]) -> str:
    above, below = (_polynomial(g, x, each) for each in powers)
    return g.node("Div", above, below)


def _polynomial(g: Graph, x: str, powers: Sequence[float]) -> str:
    """By Horner's rule."""
    first, second, *rest = powers
    start = x if first == 1 else g.node("Mul", x, _number(g, first))
    total = g.node("Add", start, _number(g, second))
    for power in rest:
        total = g.node("Add", g.node("Mul", total, x), _number(g, power))
    return total
