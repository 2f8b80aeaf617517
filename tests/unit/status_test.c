#include "tidemark/base/status.h"

#include <criterion/criterion.h>
#include <string.h>

Test(status, names_every_class)
{
    cr_assert_str_eq(tm_status_name(TM_OK), "ok");
    cr_assert_str_eq(tm_status_name(TM_RETRY), "retry");
    cr_assert_str_eq(tm_status_name(TM_REJECT), "reject");
    cr_assert_str_eq(tm_status_name(TM_FATAL), "fatal");
}

Test(status, fail_fills_what_and_forgets_the_rest)
{
    tm_error error;
    char text[64];
    tm_error_clear(&error);
    tm_error_where(&error, "old");
    tm_error_hint(&error, "old");
    cr_assert_eq(tm_fail(&error, TM_REJECT, "%d apples", 3), TM_REJECT);
    cr_assert_str_eq(error.what, "3 apples");
    cr_assert_str_eq(error.where, "");
    cr_assert_str_eq(error.hint, "");
    tm_error_text(&error, text, sizeof(text));
    cr_assert_str_eq(text, "3 apples");
    tm_error_where(&error, "%s:%d", "rules.yaml", 7);
    tm_error_text(&error, text, sizeof(text));
    cr_assert_str_eq(text, "rules.yaml:7: 3 apples");
    tm_error_hint(&error, "buy %s", "more");
    tm_error_text(&error, text, sizeof(text));
    cr_assert_str_eq(text, "rules.yaml:7: 3 apples (buy more)");
    tm_error_clear(&error);
    tm_error_text(&error, text, sizeof(text));
    cr_assert_str_eq(text, "");
}

Test(status, is_cut_and_terminated)
{
    tm_error error;
    char text[8] = "garbage";
    char big[2048];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    cr_assert_eq(tm_fail(&error, TM_FATAL, "%s", big), TM_FATAL);
    tm_error_where(&error, "%s", big);
    tm_error_hint(&error, "%s", big);
    cr_assert_eq(strlen(error.what), sizeof(error.what) - 1);
    cr_assert_eq(strlen(error.where), sizeof(error.where) - 1);
    cr_assert_eq(strlen(error.hint), sizeof(error.hint) - 1);
    tm_error_text(&error, text, sizeof(text));
    cr_assert_str_eq(text, "xxxxxxx");
    tm_error_text(&error, text, 0); /* writes nothing */
    cr_assert_str_eq(text, "xxxxxxx");
}

Test(status, allows_no_error_record)
{
    char text[8] = "garbage";
    cr_assert_eq(tm_fail(NULL, TM_RETRY, "%d", 1), TM_RETRY);
    tm_error_clear(NULL);
    tm_error_where(NULL, "%d", 1);
    tm_error_hint(NULL, "%d", 1);
    tm_error_text(NULL, text, sizeof(text));
    cr_assert_str_eq(text, "");
}
