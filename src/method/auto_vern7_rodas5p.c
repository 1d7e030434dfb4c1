/* SPDX-License-Identifier: MIT
 * auto_vern7_rodas5p.c - vern7 where a problem is not stiff, rodas5p where it is. Table: switching.c; body: switched.c. */
#include "method/method.h"

const nde_method nde_method_auto_vern7_rodas5p = {
    .name = "auto_vern7_rodas5p", .source = "L. Petzold, SIAM J. Sci. Stat. Comput. 4 (1983) 136-148",
    .kind = NDE_KIND_SWITCHING, .order = 7, .error_order = 6, .dense_order = 4, .stages = 21, .dense_stages = 5,
    .dense_terms = 7, .bernstein = true, .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_ZERO,
    .way = { &nde_method_vern7, &nde_method_rodas5p },
};
