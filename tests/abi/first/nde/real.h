/* SPDX-License-Identifier: MIT
 * nde/real.h - the real type of the nde_ names: double. The ndef_ names have float. */
#ifndef NDE_REAL_H
#define NDE_REAL_H
#ifndef nde_real /* the library's own single-precision build renames it */
typedef double nde_real;
#endif
#endif
