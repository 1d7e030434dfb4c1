/* SPDX-License-Identifier: MIT
 * auto_tsit5_rodas5p.c - tsit5 where a problem is not stiff, rodas5p where it is. Table: switching.c; body: switched.c. */
#include "method/method.h"

const nde_method nde_method_auto_tsit5_rodas5p = {
    .name = "auto_tsit5_rodas5p", .source = "L. Petzold, SIAM J. Sci. Stat. Comput. 4 (1983) 136-148",
    .kind = NDE_KIND_SWITCHING, .order = 5, .error_order = 4, .dense_order = 4, .stages = 17, .dense_terms = 4,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_ZERO, .way = { &nde_method_tsit5, &nde_method_rodas5p },
};
