/* The names of halts: each once, in a form that logs and metrics can carry, and told in docs/operations.md. */
#include "tidemark/pipeline/halts.h"

#include <criterion/criterion.h>
#include <string.h>

Test(halts, every_halt_has_a_name_of_its_own)
{
    cr_assert_str_empty(tm_halt_code(TM_HALT_NONE));
    for (int a = TM_HALT_NONE + 1; a < TM_HALTS; a++) {
        const char *code = tm_halt_code((tm_halt)a);
        cr_assert(code && code[0], "%d", a);
        cr_assert_eq(strspn(code, "abcdefghijklmnopqrstuvwxyz_"), strlen(code), "%s", code);
        for (int b = TM_HALT_NONE + 1; b < a; b++)
            cr_assert_str_neq(code, tm_halt_code((tm_halt)b));
    }
    cr_assert_str_eq(tm_halt_code(TM_HALT_OFFSETS_MOVED), "offsets_moved");
    cr_assert_str_eq(tm_halt_code(TM_HALT_INVARIANT), "invariant");
}

Test(halts, what_is_no_halt_has_none)
{
    cr_assert_str_empty(tm_halt_code(TM_HALTS));
    cr_assert_str_empty(tm_halt_code((tm_halt)-1));
}
