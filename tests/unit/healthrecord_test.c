/* Records of the score health: when one is made, and what it says. */
#include <jansson.h>

#include "support/feed.h"
#include "tidemark/codec/healthrecord.h"

/* A point is a login within the last day or two; stages and a second card come with events of their own. */
static const char rules[] = "version: 9\n"
                            "metrics:\n"
                            "  login: {count: login}\n"
                            "  begun: {count: begun}\n"
                            "  ended: {count: ended}\n"
                            "stages:\n"
                            "  - {name: new, enter: 'age(login) != null'}\n"
                            "  - {name: old, enter: 'age(begun) != null'}\n"
                            "scorecards:\n"
                            "  first:\n"
                            "    card: {when: 'age(ended) == null and age(login) != null', version: 3}\n"
                            "    use: {value: 'login[2d]', map: [[0, 0], [200, 100]], weight: 1}\n";
/* A score that no window moves. */
static const char level_rules[] = "version: 9\n"
                                  "metrics:\n"
                                  "  level: {last: value, event: level}\n"
                                  "scorecards:\n"
                                  "  only:\n"
                                  "    level: {value: level, map: [[0, 0], [100, 100]], weight: 1}\n";

typedef struct told {
    tm_time at;
    int score; /* in tenths; -1: null */
    char text[2048];
} told;

static tm_pack *pack;
static tm_shard *shard;
static told list[64];
static int count, number;

static tm_status take(void *context, const tm_health_record *record)
{
    tm_buffer out;
    (void)context;
    cr_assert_lt(count, 64);
    tm_buffer_init(&out, TM_HEALTH_RECORD_BYTES_MAX);
    tm_health_record_encode(record, &out);
    cr_assert(!out.overflowed && out.length < sizeof list->text);
    told *entry = &list[count++];
    entry->at = record->at;
    tm_value score = record->health->score;
    entry->score = tm_value_is_null(score) ? -1 : (int)(score.as.number * 10 + 0.5);
    memcpy(entry->text, out.data, out.length);
    entry->text[out.length] = 0;
    tm_buffer_done(&out);
    return TM_OK;
}

static void begin_with(const char *text)
{
    pack = feed_pack(text);
    tm_shard_settings settings = feed_settings();
    settings.dedup_window = 0;
    shard = tm_shard_new(&settings, pack, FEED_START - 30 * TM_DAY, NULL, 0);
    tm_shard_set_health_sink(shard, take);
    tm_shard_begin(shard, TM_TIME_NEVER);
    tm_shard_start(shard, FEED_START);
    count = number = 0;
}

static void begin(void)
{
    begin_with(rules);
}

static void tear_down(void)
{
    tm_shard_free(shard);
    tm_pack_free(pack);
}

TestSuite(healthrecord, .init = begin, .fini = tear_down);

static void send_value(const char *name, int times, tm_fixed value, tm_time after)
{
    for (int i = 0; i < times; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", number++);
        tm_time t = FEED_START + after;
        tm_event event = {.id = tm_slice_of(id),
                          .account = TM_SLICE_LITERAL("a"),
                          .name = tm_slice_of(name),
                          .at = t,
                          .value = value};
        tm_record record = {.timestamp = t, .kind = TM_RECORD_EVENT, .event = &event};
        tm_outcome outcome;
        cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
    }
}

static void send(const char *name, int times, tm_time after)
{
    send_value(name, times, TM_FIXED_NONE, after);
}

static void advance(tm_time after)
{
    cr_assert_eq(tm_shard_advance(shard, FEED_START + after), TM_OK);
}

static void expect(int index, tm_time after, int score)
{
    cr_assert_lt(index, count, "only %d records", count);
    cr_assert_eq(list[index].at - FEED_START, after, "record %d at %lld", index,
                 (long long)(list[index].at - FEED_START));
    cr_assert_eq(list[index].score, score, "record %d has %d", index, list[index].score);
}

Test(healthrecord, a_point_and_once_a_day)
{
    advance(TM_HOUR);
    cr_assert_eq(count, 0, "nobody is there");
    send("ended", 0, 2 * TM_HOUR);
    send("login", 1, 2 * TM_HOUR);
    advance(3 * TM_HOUR);
    cr_assert_eq(count, 1);
    expect(0, 2 * TM_HOUR, 5);
    send("login", 40, 4 * TM_HOUR); /* 20.5: far off, and told today already */
    advance(23 * TM_HOUR);
    cr_assert_eq(count, 1);
    advance(25 * TM_HOUR);
    cr_assert_eq(count, 2, "midnight comes without a record");
    expect(1, TM_DAY, 205);
    send("login", 1, 26 * TM_HOUR); /* half a point */
    advance(47 * TM_HOUR);
    cr_assert_eq(count, 2);
    send("login", 1, 47 * TM_HOUR + 1); /* with it a whole one, but this day has its record */
    advance(2 * TM_DAY - 1);
    cr_assert_eq(count, 2);
    advance(2 * TM_DAY); /* the first day's logins are gone: two are left */
    expect(2, 2 * TM_DAY, 10);
    advance(30 * TM_DAY);
    cr_assert_eq(count, 4);
    expect(3, 3 * TM_DAY, 0);
}

Test(healthrecord, what_gives_it_and_bands_at_once)
{
    send("login", 90, 0);
    advance(TM_HOUR);
    expect(0, 0, 450);
    send("login", 10, 2 * TM_HOUR); /* 50 is yellow's edge, and less than its margin of 3 */
    send("login", 6, 3 * TM_HOUR);
    advance(4 * TM_HOUR);
    cr_assert_eq(count, 2, "%d", count);
    expect(1, 3 * TM_HOUR, 530);
    send("begun", 1, 5 * TM_HOUR);
    advance(6 * TM_HOUR);
    cr_assert_eq(count, 3);
    expect(2, 5 * TM_HOUR, 530);
    cr_assert(strstr(list[2].text, "\"stage\":\"old\"") && strstr(list[1].text, "\"stage\":\"new\""));
    send("ended", 1, 7 * TM_HOUR);
    advance(9 * TM_DAY);
    cr_assert_eq(count, 4, "no card, and nothing more to say");
    expect(3, 7 * TM_HOUR, -1);
    cr_assert_str_eq(list[3].text,
                     "{\"account\":\"a\",\"at\":\"2024-03-10T07:00:00.000Z\",\"stage\":\"old\",\"card\":null,"
                     "\"card_version\":null,\"score\":null,\"band\":null,\"coverage\":0,\"change\":{\"7d\":null,"
                     "\"28d\":null},\"factors\":[],\"rules_version\":9}");
}

Test(healthrecord, what_it_says)
{
    send("login", 33, 0);
    advance(0);
    cr_assert_eq(count, 1);
    json_error_t error;
    json_t *expected =
        json_pack("{s:s, s:s, s:s, s:s, s:i, s:f, s:s, s:i, s:{s:n, s:n}, s:[{s:s, s:i, s:f, s:i, s:f}], s:i}",
                  "account", "a", "at", "2024-03-10T00:00:00.000Z", "stage", "new", "card", "first", "card_version", 3,
                  "score", 16.5, "band", "red", "coverage", 1, "change", "7d", "28d", "factors", "factor", "use",
                  "value", 33, "points", 16.5, "weight", 100, "contribution", 16.5, "rules_version", 9);
    json_t *found = json_loads(list[0].text, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(found, "%s: %s", error.text, list[0].text);
    cr_assert(json_equal(found, expected), "%s", list[0].text);
    json_decref(found);
    json_decref(expected);
}

Test(healthrecord, midnight_comes_by_itself)
{
    tear_down();
    begin_with(level_rules);
    send_value("level", 1, 10 * TM_FIXED_ONE, TM_HOUR);
    send_value("level", 1, 30 * TM_FIXED_ONE, 2 * TM_HOUR);
    advance(TM_DAY + TM_HOUR);
    cr_assert_eq(count, 2);
    expect(0, TM_HOUR, 100);
    expect(1, TM_DAY, 300);
    advance(9 * TM_DAY);
    cr_assert_eq(count, 2);
}

/* What was told is part of the state: who takes the shard over does not say it again. */
Test(healthrecord, told_is_kept)
{
    send("login", 90, 0);
    advance(TM_HOUR);
    cr_assert_eq(count, 1);
    tm_buffer blob;
    tm_error error;
    tm_account *account;
    tm_moment now;
    tm_day_span span = {0};
    tm_buffer_init(&blob, 1 << 20);
    tm_moment_at(&now, tm_zone_utc(), FEED_START + TM_HOUR, &span);
    tm_state_encode(tm_shard_account(shard, TM_SLICE_LITERAL("a")), pack, &now, &blob);
    tm_shard_settings settings = feed_settings();
    tm_shard *next = tm_shard_new(&settings, pack, FEED_START - 30 * TM_DAY, NULL, 0);
    tm_shard_set_health_sink(next, take);
    tm_shard_restore_time(next, FEED_START + TM_HOUR, true);
    cr_assert_eq(
        tm_state_decode(tm_shard_heap(next), pack, TM_SLICE_LITERAL("a"), tm_buffer_slice(&blob), &account, &error),
        TM_OK, "%s", error.what);
    cr_assert_eq(tm_shard_restore_account(next, account), TM_OK);
    tm_shard_begin(next, TM_TIME_NEVER);
    cr_assert_eq(tm_shard_advance(next, FEED_START + 2 * TM_DAY - 1), TM_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(tm_shard_advance(next, FEED_START + 2 * TM_DAY), TM_OK);
    expect(1, 2 * TM_DAY, 0);
    tm_shard_free(next);
    tm_buffer_done(&blob);
}

/* The members as a signal has them, of an account that nothing is known of. */
Test(healthrecord, members_without_a_card)
{
    tm_health nothing = {0};
    tm_buffer out;
    tm_buffer_init(&out, 1 << 10);
    tm_health_members_encode(&nothing, &out);
    cr_assert(tm_slice_equal_text(tm_buffer_slice(&out), "\"score\":null,\"band\":null,\"coverage\":0,\"change\":{"
                                                         "\"7d\":null,\"28d\":null},\"factors\":[]"));
    tm_buffer_done(&out);
}
