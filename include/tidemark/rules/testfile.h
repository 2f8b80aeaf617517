/* A file of rule tests, read: what happens to which account, and what must come of it. docs/rules.md lists the keys. */
#ifndef TIDEMARK_RULES_TESTFILE_H
#define TIDEMARK_RULES_TESTFILE_H

#include "tidemark/base/hash.h"
#include "tidemark/core/episode.h"
#include "tidemark/rules/diagnostics.h"
#include "tidemark/rules/yaml.h"

enum {
    TM_TESTS_MAX = 1024,               /* a file */
    TM_TEST_OCCURRENCES_MAX = 2000000, /* events of a test, all repetitions counted */
    TM_TEST_USERS_MAX = 10000
};

/* One entry of `events`, before its repetitions are written out. */
typedef struct tm_test_events {
    tm_slice *accounts;
    uint32_t account_count;
    tm_slice name;
    tm_slice user;  /* absent: none, or numbered ones */
    uint32_t users; /* u1 … uN, each does it; 0: `user` */
    tm_slice source, id;
    tm_time at, end;  /* first occurrence; no occurrence at `end` or later */
    int64_t every;    /* 0: once */
    int64_t delay;    /* the record arrives so long after its `at` */
    uint32_t count;   /* at each occurrence */
    uint8_t weekdays; /* bit 0: Monday; of the local day of the occurrence */
    tm_fixed value;
    tm_property *properties;
    uint32_t property_count;
} tm_test_events;

typedef struct tm_test_facts {
    tm_slice account;
    tm_time at;
    bool erase;
    tm_facts_draft *draft;
} tm_test_facts;

/* What an expected signal may be asked for besides account, rule, state and time. */
typedef enum tm_test_field {
    TM_TEST_KIND,
    TM_TEST_SEVERITY,
    TM_TEST_VALUE,
    TM_TEST_THRESHOLD,
    TM_TEST_CLEAR_THRESHOLD,
    TM_TEST_SUMMARY,
    TM_TEST_REASON,
    TM_TEST_PLAY,
    TM_TEST_SEQUENCE,
    TM_TEST_RAISED_AT, /* a number: ms since 1970 */
    TM_TEST_QUEUE,
    TM_TEST_RESPONSIBLE,
    TM_TEST_INFORMED,
    TM_TEST_ACKNOWLEDGED_BY,
    TM_TEST_FIELDS
} tm_test_field;
const char *tm_test_field_name(tm_test_field field);

typedef struct tm_test_expected {
    tm_slice account, rule;
    tm_signal_state state;
    tm_time at;
    uint32_t given; /* bit a field */
    tm_value fields[TM_TEST_FIELDS];
    uint32_t line;
    size_t rule_at; /* byte of the file at which the rule's name begins */
} tm_test_expected;

typedef struct tm_test_check {
    tm_slice account;
    tm_time at;
    uint32_t expression; /* index into the file's expressions */
    tm_value value;
    uint32_t line;
} tm_test_check;

typedef struct tm_test {
    tm_slice name, timezone;
    tm_time start, until;
    tm_time counting_start; /* TM_TIME_NONE: complete */
    tm_test_events *events;
    tm_test_facts *facts;
    tm_slice *rules; /* only signals of these are compared; none: all */
    tm_test_expected *expected;
    tm_test_check *checks;
    uint32_t event_count, facts_count, rule_count, expected_count, check_count;
    uint32_t line;
    size_t rules_at; /* byte of the file at which `rules` begins */
} tm_test;

typedef struct tm_testfile {
    tm_arena *arena; /* everything below */
    tm_document document;
    tm_slice rules; /* path of the rules file as written; absent: not given */
    int64_t evaluate_every;
    tm_test *tests;
    uint32_t test_count;
    tm_slice *expressions; /* of all checks */
    tm_yaml_node **expression_nodes;
    uint32_t expression_count;
} tm_testfile;

/* Reads a file. `diagnostics` is zeroed by the caller and takes every error. TM_OK with a file to be freed with
   tm_testfile_free (it keeps a copy of text and name); TM_REJECT (error: the first of the diagnostics); TM_FATAL. */
tm_status tm_testfile_parse(tm_slice text, const char *file_name, tm_diagnostics *diagnostics, tm_testfile **ret_file,
                            tm_error *error);
void tm_testfile_free(tm_testfile *file); /* NULL is allowed */
/* The key under which tests hash their users: champions when they are read, events when they are run. */
tm_user_key tm_test_user_key(void);

#endif
