/* SPDX-License-Identifier: MIT
 * nde.h - libnde: neural and ordinary differential equations, with exact gradients. Real type: double. Include ndef.h for
 * the same names as ndef_ in float; both may be included in one file. */
#ifndef NDE_H
#define NDE_H

#include "nde/base.h"
#include "nde/program.h"
#include "nde/field.h"
#include "nde/path.h"
#include "nde/solve.h"
#include "nde/adjoint.h"
#include "nde/sample.h"
#include "nde/train.h"
#include "nde/implicit.h"
#include "nde/file.h"

#endif
