/* SPDX-License-Identifier: MIT
 * The same by CVODES. */
#define HAVE_CVODES
#include "lv_gradient.c"
