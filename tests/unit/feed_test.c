#include "tidemark/commands/feed.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static tm_error error;
static tm_mapping *mapping;
static char events_path[64], accounts_path[64], dead_path[64];

static void write_file(char path[static 64], const char *text)
{
    snprintf(path, 64, "/tmp/tidemark-feed-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static tm_feed_options files(const char *events, const char *accounts)
{
    write_file(events_path, events);
    write_file(accounts_path, accounts);
    write_file(dead_path, "");
    mapping = tm_mapping_native();
    return (tm_feed_options){.events = events_path,
                             .accounts = accounts_path,
                             .reading = {.mapping = mapping, .key_policy = TM_KEY_IGNORE},
                             .until = TM_TIME_NEVER};
}

static void remove_files(void)
{
    unlink(events_path);
    unlink(accounts_path);
    unlink(dead_path);
    tm_mapping_free(mapping);
}

/* What the feed hands over, a word a record: its kind, account and timestamp. */
static void drain(tm_feed *feed, char *shown, size_t size)
{
    static const char kinds[] = {
        [TM_RECORD_EVENT] = 'u', [TM_RECORD_FACTS] = 'f', [TM_RECORD_ERASE] = 'e', [TM_RECORD_UNUSABLE] = 'x'};
    shown[0] = 0;
    for (;;) {
        tm_record r;
        bool end;
        cr_assert_eq(tm_feed_next(feed, &r, &end, &error), TM_OK, "%s", error.what);
        if (end)
            break;
        tm_slice account = r.kind == TM_RECORD_UNUSABLE ? (tm_slice){"", 0} : r.account;
        size_t used = strlen(shown);
        snprintf(shown + used, size - used, "%s%c%.*s%lld", used ? " " : "", kinds[r.kind], (int)account.length,
                 account.data, (long long)r.timestamp);
        if (r.kind == TM_RECORD_EVENT)
            cr_assert(tm_slice_equal(r.event->account, r.account));
    }
    tm_record r;
    bool end = false;
    cr_assert_eq(tm_feed_next(feed, &r, &end, &error), TM_OK);
    cr_assert(end, "asked again, the answer is the same");
}

static const char usage[] = "{\"id\":\"1\",\"account\":\"a\",\"event\":\"e\",\"at\":2000}\n"
                            "\n"
                            "not json\n"
                            "{\"id\":\"2\",\"account\":\"b\",\"event\":\"e\",\"at\":4000}\n"
                            "{\"id\":\"3\",\"account\":\"a\",\"event\":\"e\",\"at\":3000}\n"
                            "{\"id\":\"4\",\"event\":\"e\",\"at\":6000}\n"
                            "{\"id\":\"5\",\"account\":\"b\",\"event\":\"e\",\"at\":5000}\n";
static const char records[] = "{\"account\":\"a\",\"seats\":5}\n"
                              "{\"account\":\"b\",\"at\":1000}\n"
                              "{\"account\":\"a\",\"at\":4000}\n"
                              "{\"account\":\"a\",\"at\":7000,\"erase\":true}\n";

Test(feed, two_files_are_one_stream)
{
    tm_feed_options options = files(usage, records);
    tm_feed *feed;
    cr_assert_eq(tm_feed_open(&options, &feed, &error), TM_OK, "%s", error.what);
    cr_assert_eq(tm_feed_first_usage(feed), 2000);
    cr_assert_eq(tm_feed_first(feed), 1000);
    char shown[512];
    drain(feed, shown, sizeof shown);
    /* A file's clock never goes back; account records stand before usage of the same moment; a line that cannot be used
       moves the clock by the `at` it has. */
    cr_assert_str_eq(shown, "fa1000 fb1000 ua2000 x2000 fa4000 ub4000 ua4000 x6000 ub6000 ea7000");
    cr_assert_eq(tm_feed_dead(feed, TM_DEAD_INVALID_JSON), 1);
    cr_assert_eq(tm_feed_dead(feed, TM_DEAD_MISSING_FIELD), 1);
    cr_assert_eq(tm_feed_dead(feed, TM_DEAD_FUTURE), 0);
    cr_assert_eq(tm_feed_dead_all(feed), 2);
    uint64_t done, size;
    tm_feed_progress(feed, &done, &size);
    cr_assert_eq(size, sizeof usage - 1 + sizeof records - 1);
    cr_assert_eq(done, size);
    cr_assert_eq(tm_feed_close(feed, &error), TM_OK);
    remove_files();
}

Test(feed, ends_at_until_and_hands_over_the_accounts_asked_for)
{
    tm_feed_options options = files(usage, records);
    const char *const only[] = {"b"};
    options.until = 4000;
    options.account = only;
    options.account_count = 1;
    tm_feed *feed;
    cr_assert_eq(tm_feed_open(&options, &feed, &error), TM_OK, "%s", error.what);
    char shown[512];
    drain(feed, shown, sizeof shown);
    cr_assert_str_eq(shown, "x1000 fb1000 x2000 x2000 x4000 ub4000 x4000");
    cr_assert_eq(tm_feed_dead_all(feed), 1, "what was not asked for is no dead letter");
    cr_assert_eq(tm_feed_close(feed, &error), TM_OK);
    remove_files();
}

Test(feed, dead_letters_are_written)
{
    tm_feed_options options = files(usage, records);
    options.dead_letters = dead_path;
    tm_feed *feed;
    cr_assert_eq(tm_feed_open(&options, &feed, &error), TM_OK, "%s", error.what);
    char shown[512];
    drain(feed, shown, sizeof shown);
    cr_assert_eq(tm_feed_close(feed, &error), TM_OK);
    FILE *file = fopen(dead_path, "rb");
    char text[4096];
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    const char *first = strstr(text, "\"invalid_json\"");
    cr_assert_not_null(first, "%s", text);
    cr_assert_not_null(strstr(first, "\"missing_field\""), "%s", text);
    size_t count = 0;
    for (const char *c = text; *c; c++)
        count += *c == '\n';
    cr_assert_eq(count, 2);
    remove_files();
}

Test(feed, nothing_comes_of_nothing)
{
    tm_feed_options options = files("", "\n \n");
    tm_feed *feed;
    char shown[64];
    cr_assert_eq(tm_feed_open(&options, &feed, &error), TM_OK);
    cr_assert_eq(tm_feed_first(feed), TM_TIME_NONE);
    cr_assert_eq(tm_feed_first_usage(feed), TM_TIME_NONE);
    drain(feed, shown, sizeof shown);
    cr_assert_str_eq(shown, "");
    cr_assert_eq(tm_feed_close(feed, &error), TM_OK);
    options.events = options.accounts = NULL;
    cr_assert_eq(tm_feed_open(&options, &feed, &error), TM_OK);
    drain(feed, shown, sizeof shown);
    cr_assert_str_eq(shown, "");
    cr_assert_eq(tm_feed_close(feed, &error), TM_OK);
    cr_assert_eq(tm_feed_close(NULL, &error), TM_OK);
    options.events = "/nonexistent/events.jsonl";
    cr_assert_eq(tm_feed_open(&options, &feed, &error), TM_REJECT);
    cr_assert_neq(error.what[0], 0);
    remove_files();
}
