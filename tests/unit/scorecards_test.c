/* What scorecards come to: maps, missing answers, and which card gives the score. */
#include "support/feed.h"

static const char rules[] =
    "version: 1\n"
    "metrics: {login: {count: login}}\n"
    "scorecards:\n"
    "  rich: {card: {when: mrr > 10}, seats: {value: seats, map: [[0, 0], [1, 50], [3, 100]], weight: 3},\n"
    "         quiet: {value: age(login), map: [[1h, 90], [3h, 10]], weight: 1}}\n"
    "  other: {size: {value: attributes.size, map: [[-2, 0], [2, 10]], weight: 2}, seats: {value: seats, map: [[0, 0], "
    "[9, 33]], weight: 0.5}}\n"
    "  approach: {card: {score: approach, when: mrr > 100}, seats: {value: seats, map: [[0, 0], [9, 33]], weight: "
    "1}}\n";

static const tm_slice texts[] = {TM_SLICE_LITERAL("health"), TM_SLICE_LITERAL("coverage(health)"),
                                 TM_SLICE_LITERAL("card(health)"), TM_SLICE_LITERAL("approach")};
static uint32_t nodes[4];
static tm_shard *shard;

/* Seats, MRR (negative: none) and size (0: none) of the account, and what the expression is then. */
static tm_value with(double seats, double mrr, double size, int text)
{
    static tm_facts_draft draft;
    tm_facts_draft_init(&draft);
    draft.seats = seats < 0 ? TM_FIXED_NONE : (tm_fixed)(seats * TM_FIXED_ONE);
    draft.mrr = mrr < 0 ? TM_FIXED_NONE : (tm_fixed)(mrr * TM_FIXED_ONE);
    draft.attribute_count = 1;
    draft.attributes[0] =
        (tm_fact_entry){TM_SLICE_LITERAL("size"), size != 0 ? tm_value_number(size) : tm_value_boolean(true)};
    tm_record record = {.timestamp = FEED_START,
                        .kind = TM_RECORD_FACTS,
                        .input = TM_INPUT_ACCOUNTS,
                        .account = TM_SLICE_LITERAL("a"),
                        .facts = &draft};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
    return tm_shard_evaluate(shard, TM_SLICE_LITERAL("a"), FEED_START + 2 * TM_HOUR, nodes[text]);
}

Test(scorecards, come_to)
{
    tm_packfile_options options = {.expressions = texts, .expression_count = 4, .ret_nodes = nodes};
    tm_pack *pack;
    tm_error error;
    cr_assert_eq(tm_packfile_parse(tm_slice_of(rules), "rules.yaml", &options, &pack, &error), TM_OK, "%s", error.what);
    tm_shard_settings settings = feed_settings();
    shard = tm_shard_new(&settings, pack, FEED_START, NULL, 0);
    tm_shard_begin(shard, TM_TIME_NEVER);
    tm_shard_start(shard, FEED_START);

    cr_assert_eq(with(0.5, 11, 0, 0).as.number, 25, "between two points");
    cr_assert_eq(with(1, 11, 0, 0).as.number, 50, "at a point");
    cr_assert_eq(with(2, 11, 0, 0).as.number, 75);
    cr_assert_eq(with(7, 11, 0, 0).as.number, 100, "flat behind the last");
    cr_assert_eq(with(0, 11, 0, 0).as.number, 0);
    cr_assert_eq(with(7, 11, 0, 1).as.number, 0.75, "nobody logged in: its weight is missing");
    cr_assert(tm_slice_equal_text(with(7, 11, 0, 2).as.string, "rich"));
    cr_assert(tm_value_is_null(with(-1, 11, 0, 0)), "no answer at all");
    cr_assert_eq(with(-1, 11, 0, 1).as.number, 0);

    tm_event event = {.id = TM_SLICE_LITERAL("1"),
                      .account = TM_SLICE_LITERAL("a"),
                      .name = TM_SLICE_LITERAL("login"),
                      .at = FEED_START,
                      .value = TM_FIXED_NONE};
    tm_record record = {.timestamp = FEED_START, .kind = TM_RECORD_EVENT, .event = &event};
    tm_outcome outcome;
    cr_assert_eq(tm_shard_apply(shard, &record, &outcome), TM_OK);
    cr_assert_eq(with(1, 11, 0, 0).as.number, 50, "(3 * 50 + 50) / 4: two hours lie between one and three");
    cr_assert_eq(with(7, 11, 0, 0).as.number, 87.5);
    cr_assert_eq(with(7, 11, 0, 1).as.number, 1);

    cr_assert(tm_slice_equal_text(with(1, -1, 1, 2).as.string, "other"), "null is not true: the next card");
    cr_assert_eq(with(1, 5, 1, 0).as.number, 6.7, "(2 * 7.5 + 0.5 * 33 / 9) / 2.5 = 6.7333");
    cr_assert_eq(with(1, 5, 0, 0).as.number, 3.7, "an attribute of another type is no answer");
    cr_assert_eq(with(1, 5, 0, 1).as.number, 0.2);
    cr_assert(tm_value_is_null(with(1, 5, 1, 3)), "no card of it");
    cr_assert_eq(with(9, 101, 1, 3).as.number, 33);
    tm_shard_free(shard);
    tm_pack_free(pack);
}

static void put(tm_track *track, tm_heap *heap, int32_t day, int tenths, bool expected)
{
    bool changed = false;
    cr_assert_eq(tm_track_put(track, heap, day, (int16_t)tenths, &changed), TM_OK);
    cr_assert_eq(changed, expected, "day %d: %d", day, tenths);
}

static int on(const tm_track *track, int32_t day)
{
    int32_t run = tm_track_at(track, day);
    return run < 0 ? -2 : track->runs[run].tenths;
}

/* Days are runs of equal scores; a day is what its last instant was; what is out of reach is forgotten, but for the run
   that holds on the oldest day. */
Test(scorecards, days_are_kept)
{
    tm_heap *heap = tm_heap_new(0);
    tm_tracks tracks = {0};
    tm_track *track = tm_tracks_make(&tracks, heap, 7);
    bool changed;
    track->reach = 10;
    put(track, heap, 100, 500, true);
    put(track, heap, 100, 510, true);
    put(track, heap, 101, 510, false);
    put(track, heap, 103, 520, true);
    put(track, heap, 103, 510, true);
    cr_assert_eq(track->run_count, 1, "back at what it was: the day goes on with the run");
    put(track, heap, 104, TM_SCORE_NULL, true);
    put(track, heap, 102, 530, true); /* days do not go back */
    put(track, heap, 109, 0, true);
    cr_assert(on(track, 99) == -2 && on(track, 100) == 510 && on(track, 103) == 510);
    cr_assert(on(track, 104) == 530 && on(track, 108) == 530 && on(track, 109) == 0 && on(track, 4000) == 0);
    put(track, heap, 112, 1000, true);
    cr_assert(on(track, 101) == -2 && on(track, 102) == 510 && on(track, 112) == 1000 && on(track, 111) == 0);
    put(track, heap, 90000, 3, true);
    cr_assert_eq(track->run_count, 2);
    cr_assert(on(track, 89989) == -2 && on(track, 89990) == 1000 && on(track, 90000) == 3);

    tm_tenure tenure = {.card = 1, .version = 1, .day = 50};
    cr_assert_eq(tm_track_since(track), INT32_MAX, "nobody gave it");
    for (int i = 0; i < 100; i++, tenure.day++, tenure.version++)
        cr_assert_eq(tm_track_tenure(track, heap, &tenure, &changed), TM_OK);
    cr_assert_eq(track->tenure_count, TM_TENURES_MAX);
    cr_assert_eq(tm_track_since(track), 89990, "from where days are known");
    tenure.day = 89995;
    changed = false;
    cr_assert_eq(tm_track_tenure(track, heap, &tenure, &changed), TM_OK);
    cr_assert(changed && tm_track_since(track) == 89995);
    changed = false;
    tenure.day++;
    cr_assert_eq(tm_track_tenure(track, heap, &tenure, &changed), TM_OK);
    cr_assert(!changed && tm_track_since(track) == 89995);
    /* There and back within a day: one giver, and comparable from that day on (the oldest had made room). */
    uint32_t givers = track->tenure_count;
    tm_tenure other = {.card = 9, .version = 1, .day = 89997};
    cr_assert_eq(tm_track_tenure(track, heap, &other, &changed), TM_OK);
    tenure.day = 89997;
    cr_assert_eq(tm_track_tenure(track, heap, &tenure, &changed), TM_OK);
    cr_assert(changed && track->tenure_count == givers - 1 && tm_track_since(track) == 89997);
    tm_tracks_free(&tracks, heap);
    cr_assert_eq(tm_heap_used(heap), 0);
    tm_heap_free_all(heap);
}

/* A band is left only beyond its margin, and then for that of the score. */
Test(scorecards, bands_hold)
{
    static const struct {
        tm_band from;
        int32_t tenths;
        tm_band to;
    } table[] = {
        {TM_BAND_NONE, 750, TM_BAND_GREEN},    {TM_BAND_NONE, 749, TM_BAND_YELLOW},
        {TM_BAND_NONE, 500, TM_BAND_YELLOW},   {TM_BAND_NONE, 499, TM_BAND_RED},
        {TM_BAND_NONE, 0, TM_BAND_RED},        {TM_BAND_NONE, 1000, TM_BAND_GREEN},
        {TM_BAND_GREEN, 720, TM_BAND_GREEN},   {TM_BAND_GREEN, 719, TM_BAND_YELLOW},
        {TM_BAND_GREEN, 480, TM_BAND_RED},     {TM_BAND_GREEN, 1000, TM_BAND_GREEN},
        {TM_BAND_YELLOW, 779, TM_BAND_YELLOW}, {TM_BAND_YELLOW, 780, TM_BAND_GREEN},
        {TM_BAND_YELLOW, 470, TM_BAND_YELLOW}, {TM_BAND_YELLOW, 469, TM_BAND_RED},
        {TM_BAND_RED, 529, TM_BAND_RED},       {TM_BAND_RED, 530, TM_BAND_YELLOW},
        {TM_BAND_RED, 751, TM_BAND_GREEN},     {TM_BAND_RED, 0, TM_BAND_RED},
    };
    tm_card card = {.green = 750, .yellow = 500, .margin = 30};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        cr_assert_eq(tm_band_next(&card, table[i].from, table[i].tenths), table[i].to, "row %zu", i);
    card = (tm_card){.green = 1000, .yellow = 0, .margin = 0};
    cr_assert_eq(tm_band_next(&card, TM_BAND_GREEN, 999), TM_BAND_YELLOW);
    cr_assert_eq(tm_band_next(&card, TM_BAND_RED, 0), TM_BAND_YELLOW);
}
