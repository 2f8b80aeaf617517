#include "tidemark/adapters/file/publisher.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static tm_publisher publisher;
static tm_error error;

static void open_publisher(void)
{
    snprintf(path, sizeof path, "/tmp/tidemark-signals-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(tm_file_publisher_new(path, &publisher, &error), TM_OK, "%s", error.what);
    cr_assert_eq(publisher.initialise(publisher.context, &error), TM_OK);
}

static void remove_file(void)
{
    unlink(path);
}

TestSuite(file_publisher, .init = open_publisher, .fini = remove_file);

static void begin(void)
{
    cr_assert_eq(publisher.begin(publisher.context, &error), TM_OK);
}

static void send(tm_topic topic, const char *value)
{
    tm_output output = {
        .topic = topic, .partition = -1, .key = TM_SLICE_LITERAL("key"), .value = tm_slice_of(value), .timestamp = 1};
    cr_assert_eq(publisher.send(publisher.context, &output, &error), TM_OK);
}

static tm_status commit(void)
{
    return publisher.commit(publisher.context, NULL, NULL, 0, &error);
}

static void expect(const char *text)
{
    char bytes[256];
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file);
    size_t length = fread(bytes, 1, sizeof bytes - 1, file);
    fclose(file);
    bytes[length] = 0;
    cr_assert_str_eq(bytes, text);
}

Test(file_publisher, writes_what_is_committed)
{
    begin();
    send(TM_TOPIC_CHURN_RISK, "{\"n\":1}");
    send(TM_TOPIC_EXPANSION, "{\"n\":2}");
    expect("");
    cr_assert_eq(commit(), TM_OK);
    expect("{\"n\":1}\n{\"n\":2}\n");
    begin();
    cr_assert_eq(commit(), TM_OK);
    begin();
    send(TM_TOPIC_ADVISORIES, "{\"n\":3}");
    cr_assert_eq(commit(), TM_OK);
    publisher.close(publisher.context);
    expect("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

Test(file_publisher, forgets_what_is_aborted)
{
    begin();
    send(TM_TOPIC_CHURN_RISK, "{\"n\":1}");
    cr_assert_eq(publisher.abort(publisher.context, &error), TM_OK);
    begin();
    send(TM_TOPIC_CHURN_RISK, "{\"n\":2}");
    cr_assert_eq(commit(), TM_OK);
    begin();
    send(TM_TOPIC_CHURN_RISK, "{\"n\":3}");
    publisher.close(publisher.context);
    expect("{\"n\":2}\n");
}

Test(file_publisher, leaves_out_what_is_no_signal)
{
    begin();
    send(TM_TOPIC_HEALTH, "{\"n\":1}");
    send(TM_TOPIC_DEAD_LETTERS, "{\"n\":2}");
    send(TM_TOPIC_JOURNAL, "{\"n\":3}");
    send(TM_TOPIC_CHURN_RISK, NULL); /* a tombstone */
    send(TM_TOPIC_CHURN_RISK, "{\"n\":4}");
    cr_assert_eq(commit(), TM_OK);
    publisher.close(publisher.context);
    expect("{\"n\":4}\n");
}

Test(file_publisher, a_file_that_cannot_be_made_is_refused)
{
    tm_publisher none;
    char below[80];
    snprintf(below, sizeof below, "%s/file", path);
    cr_assert_eq(tm_file_publisher_new(below, &none, &error), TM_REJECT);
    cr_assert_not_null(strstr(error.what, below), "%s", error.what);
    publisher.close(publisher.context);
}

/* Where nothing can be written there is no point in going on. */
Test(file_publisher, a_full_disk_is_fatal)
{
    tm_publisher full;
    if (access("/dev/full", W_OK) == 0) {
        tm_publisher kept = publisher;
        cr_assert_eq(tm_file_publisher_new("/dev/full", &full, &error), TM_OK, "%s", error.what);
        publisher = full;
        begin();
        send(TM_TOPIC_CHURN_RISK, "{\"n\":1}");
        cr_assert_eq(commit(), TM_FATAL);
        full.close(full.context);
        publisher = kept;
    }
    publisher.close(publisher.context);
}
