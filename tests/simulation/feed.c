/* What the customers of a run do: some hours of few accounts, with everything that streams do to records. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "sim.h"

static tm_slice text(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static tm_slice text(sim *s, const char *format, ...)
{
    char line[400];
    va_list rest;
    va_start(rest, format);
    int length = vsnprintf(line, sizeof line, format, rest);
    va_end(rest);
    return sim_copy(s, (tm_slice){line, (size_t)length});
}

static void make_event(sim *s, sim_random *r, sim_record *record, tm_time t)
{
    record->kind = SIM_EVENT;
    record->name = (int)sim_below(r, 4);
    record->user = (int)sim_below(r, 4) - 1;
    record->id = (int)sim_below(r, 40); /* ids come again: within the window of duplicates, and beyond it */
    record->value_of = sim_once_in(r, 5) ? -1 : (int)sim_below(r, 20);
    record->at = t;
    int64_t shift = sim_below(r, 24);
    if (shift == 0)
        record->at = t + sim_between(r, 4, 12) * TM_MINUTE; /* ahead, or too far ahead */
    else if (shift < 4)
        record->at = t - sim_below(r, 5 * TM_HOUR); /* late */
    char user[32] = "", value[32] = "";
    if (record->user >= 0)
        snprintf(user, sizeof user, ",\"user\":\"u%d\"", record->user);
    if (record->value_of >= 0)
        snprintf(value, sizeof value, ",\"value\":%d", record->value_of);
    record->value =
        text(s, "{\"id\":\"%d\",\"account\":\"%.*s\",\"event\":\"%s\",\"at\":%" PRId64 "%s%s}", record->id,
             (int)record->key.length, record->key.data, sim_event_name(record->name), record->at, user, value);
}

static void make_facts(sim *s, sim_random *r, sim_record *record)
{
    record->kind = SIM_FACTS;
    record->seats = sim_once_in(r, 4) ? -1 : (int)sim_below(r, 9);
    record->tier = (int)sim_below(r, 3) - 1;
    record->status = sim_once_in(r, 5) ? 1 : (int)sim_below(r, 2) - 1;
    char seats[32] = "", tier[32] = "", status[32] = "";
    if (record->seats >= 0)
        snprintf(seats, sizeof seats, ",\"seats\":%d", record->seats);
    if (record->tier >= 0)
        snprintf(tier, sizeof tier, ",\"tier\":\"%s\"", sim_tier_name(record->tier));
    if (record->status >= 0)
        snprintf(status, sizeof status, ",\"status\":\"%s\"", sim_status_name(record->status));
    record->value =
        text(s, "{\"account\":\"%.*s\"%s%s%s}", (int)record->key.length, record->key.data, seats, tier, status);
}

static void make_broken(sim *s, sim_random *r, sim_record *record)
{
    record->kind = SIM_BROKEN;
    if (record->input == TM_INPUT_ACCOUNTS || sim_once_in(r, 2)) {
        record->value = text(s, "{\"no\": event");
    } else if (sim_once_in(r, 2)) {
        record->value = (tm_slice){0};
    } else {
        record->value = TM_SLICE_LITERAL("{\"id\":\"1\",\"account\":\"another\",\"event\":\"login\",\"at\":1}");
    }
}

/* One record that arrives at `arrives` (ms of the simulation) and says that it is of `t`. */
static void make(sim *s, sim_random *r, int64_t arrives, tm_time t, bool first[TM_INPUTS][SIM_PARTITIONS])
{
    sim_record *record = sim_take(s, sizeof *record);
    int account = (int)sim_below(r, s->accounts);
    int64_t kind = sim_below(r, 100);
    record->account = account;
    record->partition = account % (int)s->partitions;
    record->input = kind < 18 ? TM_INPUT_ACCOUNTS : TM_INPUT_USAGE;
    record->key = text(s, "a%d", account);
    record->timestamp = t;
    if (sim_once_in(r, 12))
        record->timestamp = t = tm_time_ceil(t, TM_MINUTE); /* on the grid itself */
    if (!first[record->input][record->partition]) {
        if (sim_once_in(r, 30))
            record->timestamp = TM_TIME_NONE;
        else if (sim_once_in(r, 16))
            record->timestamp = t - sim_below(r, 2 * TM_HOUR);
        else if (sim_once_in(r, 20))
            record->timestamp = t + sim_below(r, 20 * TM_MINUTE);
    }
    first[record->input][record->partition] = false;
    if (kind < 3)
        record->kind = SIM_ERASE;
    else if (kind < 4 || (kind >= 18 && kind < 21))
        make_broken(s, r, record);
    else if (kind < 18)
        make_facts(s, r, record);
    else
        make_event(s, r, record, t);
    sim_at(s, arrives, SIM_HAPPENS_RECORD, 0, 0, record);
}

void sim_feed(sim *s, sim_random *r)
{
    bool first[TM_INPUTS][SIM_PARTITIONS];
    memset(first, 1, sizeof first);
    int64_t count = sim_once_in(r, 20) ? sim_below(r, 4) : sim_between(r, 10, 90);
    int64_t at = 0;
    int64_t gap = s->length * 2 / (count + 1);
    /* What lay there before anybody read it. */
    int64_t waiting = sim_once_in(r, 2) ? sim_below(r, count / 2 + 1) : 0;
    for (int64_t i = 0; i < count; i++) {
        if (i >= waiting)
            at += sim_once_in(r, 4) ? sim_below(r, 20) : sim_below(r, gap);
        if (at >= s->length)
            break;
        tm_time t = s->base + at - (i < waiting ? (waiting - i) * (5 * TM_HOUR / (waiting + 1)) : 0);
        make(s, r, at, t, first);
    }
}
