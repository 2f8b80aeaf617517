/* What each operator and function of an expression does to values: the one place where null, types and rounding of
   expressions are decided. Used by the evaluator at every evaluation and by the program to fold constants. */
#ifndef TIDEMARK_CORE_OPERATION_H
#define TIDEMARK_CORE_OPERATION_H

#include "tidemark/core/program.h"

/* The value of an operation (TM_OP_NOT and later) over its arguments, all of which have been computed. Null arguments
   give null except where semantics.md says otherwise (and, or, the null tests, coalesce); so do arguments whose types
   do not fit, a division by zero, a logarithm of what is not positive, and a result that is not finite. `approximate`
   is set when an argument carries it. Minus zero becomes zero. */
tm_value tm_operation_apply(tm_op op, const tm_value *arguments, uint32_t count);

/* Three-valued: 1 true, 0 false, -1 null or no boolean. */
int tm_operation_truth(tm_value value);

#endif
