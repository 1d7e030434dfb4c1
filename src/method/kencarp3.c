/* SPDX-License-Identifier: MIT
 * kencarp3.c - Kennedy and Carpenter's additive method of order 3(2): explicit for the drift, diagonally implicit, stiffly
 * accurate and L-stable for the second field. Table: imex.c, body: dirk.c. Source: C. A. Kennedy, M. H. Carpenter, Additive
 * Runge-Kutta schemes for convection-diffusion-reaction equations, Appl. Numer. Math. 44 (2003) 139-181, appendix,
 * ARK3(2)4L[2]SA; extension: there too. */
#include "method/method.h"

/* of the drift, and of the second field below its diagonal */
static const nde_coefficient a[] = {
    R(3535464411806, 4055673282236),
    R(5535828885825, 10492691773637), R(788022342437, 10882634858940),
    R(6485989280629, 16251701735622), R(-4246266847089, 9704473918619), R(10755448449292, 10357097424841),
};
static const nde_coefficient a2[] = {
    R(1767732205903, 4055673282236),
    R(2746238789719, 10658868560708), R(-640167445237, 6845629431997),
    R(1471266399579, 7840856788654), R(-4482444167858, 7529755066697), R(11266239266428, 11593286722821),
};
static const nde_coefficient b[] = {
    R(1471266399579, 7840856788654), R(-4482444167858, 7529755066697), R(11266239266428, 11593286722821),
    R(1767732205903, 4055673282236),
};
static const nde_coefficient c[] = { R(0, 1), R(3535464411806, 4055673282236), R(3, 5), R(1, 1) };
static const nde_coefficient e[] = {
    R(1471266399579, 7840856788654) - R(2756255671327, 12835298489170),
    R(-4482444167858, 7529755066697) - R(-10771552573575, 22201958757719),
    R(11266239266428, 11593286722821) - R(9247589265047, 10645013368117),
    R(1767732205903, 4055673282236) - R(2193209047091, 5459859503100),
};
static const nde_coefficient dense[] = {
    R(4655552711362, 22874653954995), R(-215264564351, 13552729205753),
    R(-18682724506714, 9892148508045), R(17870216137069, 13817060693119),
    R(34259539580243, 13192909600954), R(-28141676662227, 17317692491321),
    R(584795268549, 6622622206610), R(2508943948391, 7218656332882),
};

const nde_method nde_method_kencarp3 = {
    .name = "kencarp3", .source = "C. A. Kennedy, M. H. Carpenter, Appl. Numer. Math. 44 (2003) 139-181",
    .kind = NDE_KIND_IMEX, .order = 3, .error_order = 2, .dense_order = 2, .stages = 4, .dense_terms = 2,
    .a = a, .a2 = a2, .b = b, .c = c, .e = e, .dense = dense, .gamma = R(1767732205903, 4055673282236),
};
