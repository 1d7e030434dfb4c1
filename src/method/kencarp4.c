/* SPDX-License-Identifier: MIT
 * kencarp4.c - Kennedy and Carpenter's additive method of order 4(3): explicit for the drift, diagonally implicit, stiffly
 * accurate and L-stable for the second field. Table: imex.c, body: dirk.c. Source: C. A. Kennedy, M. H. Carpenter, Additive
 * Runge-Kutta schemes for convection-diffusion-reaction equations, Appl. Numer. Math. 44 (2003) 139-181, appendix,
 * ARK4(3)6L[2]SA; extension: there too. */
#include "method/method.h"

/* of the drift, and of the second field below its diagonal */
static const nde_coefficient a[] = {
    R(1, 2),
    R(13861, 62500), R(6889, 62500),
    R(-116923316275, 2393684061468), R(-2731218467317, 15368042101831), R(9408046702089, 11113171139209),
    R(-451086348788, 2902428689909), R(-2682348792572, 7519795681897), R(12662868775082, 11960479115383),
        R(3355817975965, 11060851509271),
    R(647845179188, 3216320057751), R(73281519250, 8382639484533), R(552539513391, 3454668386233),
        R(3354512671639, 8306763924573), R(4040, 17871),
};
static const nde_coefficient a2[] = {
    R(1, 4),
    R(8611, 62500), R(-1743, 31250),
    R(5012029, 34652500), R(-654441, 2922500), R(174375, 388108),
    R(15267082809, 155376265600), R(-71443401, 120774400), R(730878875, 902184768), R(2285395, 8070912),
    R(82889, 524892), R(0, 1), R(15625, 83664), R(69875, 102672), R(-2260, 8211),
};
static const nde_coefficient b[] = { R(82889, 524892), R(0, 1), R(15625, 83664), R(69875, 102672), R(-2260, 8211), R(1, 4) };
static const nde_coefficient c[] = { R(0, 1), R(1, 2), R(83, 250), R(31, 50), R(17, 20), R(1, 1) };
static const nde_coefficient e[] = {
    R(82889, 524892) - R(4586570599, 29645900160), R(0, 1) - R(0, 1), R(15625, 83664) - R(178811875, 945068544),
    R(69875, 102672) - R(814220225, 1159782912), R(-2260, 8211) - R(-3700637, 11593932), R(1, 4) - R(61727, 225920),
};
static const nde_coefficient dense[] = {
    R(6943876665148, 7220017795957), R(-54480133, 30881146), R(6818779379841, 7100303317025),
    R(0, 1), R(0, 1), R(0, 1),
    R(7640104374378, 9702883013639), R(-11436875, 14766696), R(2173542590792, 12501825683035),
    R(-20649996744609, 7521556579894), R(174696575, 18121608), R(-31592104683404, 5083833661969),
    R(8854892464581, 2390941311638), R(-12120380, 966161), R(61146701046299, 7138195549469),
    R(-11397109935349, 6675773540249), R(3843, 706), R(-17219254887155, 4939391667607),
};

const nde_method nde_method_kencarp4 = {
    .name = "kencarp4", .source = "C. A. Kennedy, M. H. Carpenter, Appl. Numer. Math. 44 (2003) 139-181",
    .kind = NDE_KIND_IMEX, .order = 4, .error_order = 3, .dense_order = 3, .stages = 6, .dense_terms = 3,
    .a = a, .a2 = a2, .b = b, .c = c, .e = e, .dense = dense, .gamma = R(1, 4),
};
