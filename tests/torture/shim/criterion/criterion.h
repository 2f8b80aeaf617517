/* The few words of Criterion that tests/support uses, for a program that has a main of its own: a condition that does
   not hold ends the process with status 98. */
#ifndef TIDEMARK_TORTURE_CRITERION_H
#define TIDEMARK_TORTURE_CRITERION_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define cr_fail_here(text, ...)                                                                                        \
    (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, text), fprintf(stderr, " " __VA_ARGS__), fputc('\n', stderr),  \
     _exit(98))
#define cr_assert(condition, ...) ((condition) ? (void)0 : cr_fail_here(#condition, __VA_ARGS__))
#define cr_assert_not(condition, ...) cr_assert(!(condition), __VA_ARGS__)
#define cr_assert_eq(a, b, ...) cr_assert((a) == (b), __VA_ARGS__)
#define cr_assert_neq(a, b, ...) cr_assert((a) != (b), __VA_ARGS__)
#define cr_assert_gt(a, b, ...) cr_assert((a) > (b), __VA_ARGS__)
#define cr_assert_geq(a, b, ...) cr_assert((a) >= (b), __VA_ARGS__)
#define cr_assert_lt(a, b, ...) cr_assert((a) < (b), __VA_ARGS__)
#define cr_assert_null(a, ...) cr_assert((a) == NULL, __VA_ARGS__)
#define cr_assert_not_null(a, ...) cr_assert((a) != NULL, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) cr_assert(strcmp((a), (b)) == 0, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) cr_assert(strcmp((a), (b)) != 0, __VA_ARGS__)

#endif
