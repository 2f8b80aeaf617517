#include "tidemark/pipeline/rebuild.h"

#include <stdlib.h>

#include "tidemark/base/crashpoint.h"
#include "tidemark/rules/packfile.h"

struct tm_rebuild {
    tm_ledger *ledger;
    const tm_journal_source *journal;
    tm_holding *holding;
    tm_position target; /* C: where the journal has to lead */
    tm_journal_line *line;
    const tm_pack *pack; /* the shard's, as of the current line */
    tm_pack **packs;     /* rules of the past, compiled from the journal */
    uint32_t pack_count;
    bool adopted;             /* the rules in force are newer than the journal */
    int64_t first[TM_INPUTS]; /* least offset the log still has */
    int64_t commit;           /* the last line replayed */
    bool begun;               /* the current line's records are being applied */
    bool gone;                /* the log no longer has all records of the current line */
    bool partial;             /* nor of some line before: episodes are the journal's from there on */
    tm_time complete_from;    /* then: no record is missing since */
    bool at_end;
};

enum { APPLY_AT_ONCE = 20000 };

static tm_status halt(tm_rebuild *r, tm_halt name, const char *what, const char *hint, tm_error *error)
{
    tm_error why; /* `what` and `hint` may be parts of *error */
    tm_fail(&why, TM_FATAL, "%s", what);
    tm_error_where(&why, "shard %d", (int)r->holding->partition);
    tm_error_hint(&why, "%s", hint);
    *error = why;
    tm_ledger_halt(r->ledger, r->holding, name, error);
    return TM_FATAL;
}

tm_status tm_rebuild_new(tm_ledger *ledger, const tm_journal_source *journal, tm_holding *holding,
                         tm_rebuild **ret_rebuild, tm_error *error)
{
    *ret_rebuild = NULL;
    tm_rebuild *r = calloc(1, sizeof *r);
    if (!r)
        return tm_fail(error, TM_FATAL, "no memory for a rebuild");
    *r = (tm_rebuild){.ledger = ledger, .journal = journal, .holding = holding, .target = holding->published};
    ledger->asked = TM_WAITING_JOURNAL;
    tm_status status = journal->open(journal->context, holding->partition, error);
    const tm_source *source = ledger->source;
    for (int i = 0; i < TM_INPUTS && status == TM_OK; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        if (!lane->on)
            continue;
        int64_t end, reached;
        ledger->asked = TM_WAITING_INPUT;
        status = source->bounds(source->context, (tm_input)i, holding->partition, &r->first[i], &end, &reached, error);
        if (status == TM_OK)
            status = source->start(source->context, (tm_input)i, holding->partition, r->first[i], error);
        lane->next = r->first[i];
        if (status == TM_OK && r->target.next[i] > end) {
            (void)halt(r, TM_HALT_TOPIC_CUT,
                       "the group's offsets are beyond the end of the input: the topic was recreated or cut",
                       "restore the topic, or remove the group's offsets to begin anew", error);
            tm_rebuild_free(r);
            return TM_OK;
        }
    }
    if (status != TM_OK) {
        tm_rebuild_free(r);
        return status;
    }
    TM_CRASH_POINT("rebuild_begin");
    holding->publishing = false;
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                             tm_log_integer("commit", r->target.commit)};
    ledger->log->write(ledger->log->context, TM_LOG_WARNING, "rebuilding",
                       "The store has nothing of this shard: it is rebuilt from the journal", fields, 2);
    *ret_rebuild = r;
    return TM_OK;
}

void tm_rebuild_free(tm_rebuild *r)
{
    if (!r)
        return;
    tm_journal_line_free(r->line);
    r->journal->close(r->journal->context);
    for (uint32_t i = 0; i < r->pack_count; i++)
        tm_pack_free(r->packs[i]);
    free(r->packs);
    free(r);
}

/* The pack of a journal line: the one in force, or compiled from the text the journal kept. NULL: it cannot be, and the
 * error says why. */
static const tm_pack *pack_of(tm_rebuild *r, const tm_journal_configuration *line, tm_error *error)
{
    const tm_pack *current = r->holding->pack;
    if (line->pack_hash == current->hash)
        return current;
    tm_pack **packs = realloc(r->packs, sizeof(tm_pack *) * (r->pack_count + 1));
    if (!packs) {
        tm_fail(error, TM_FATAL, "no memory for the rules of that time");
        return NULL;
    }
    r->packs = packs;
    tm_pack *pack = NULL;
    if (tm_packfile_parse(line->rules, "rules in the journal", NULL, &pack, error) != TM_OK)
        return NULL;
    r->packs[r->pack_count++] = pack;
    return pack;
}

static tm_status take_configuration(tm_rebuild *r, const tm_journal_configuration *line, tm_error *error)
{
    const tm_pipeline_settings *settings = r->holding->settings;
    if (!tm_slice_equal(line->timezone, settings->timezone) || line->evaluate_every != settings->shard.evaluate_every ||
        line->dedup_window != settings->shard.dedup_window || line->max_skew != settings->shard.max_skew)
        return halt(r, TM_HALT_JOURNAL_CONFIGURATION,
                    "the journal was written under another configuration (time zone, grid, skew or dedup window)",
                    "start once with the configuration of that time to rebuild", error);
    const tm_pack *pack = pack_of(r, line, error);
    if (!pack)
        return halt(r, TM_HALT_RULES_LOST, "the rules that the journal kept cannot be compiled any more",
                    "rebuild with the version of tidemark that wrote them, then go on with this one", error);
    tm_status status = TM_OK;
    if (!r->holding->shard)
        status = tm_holding_make_shard(r->holding, pack, line->counting_start, NULL);
    else if (pack != r->pack)
        status = tm_shard_adopt(r->holding->shard, pack);
    if (status != TM_OK)
        return halt(r, TM_HALT_MEMORY, "no memory for a shard", "raise memory_limit", error);
    r->pack = pack;
    return TM_OK;
}

/* Fetches the next line. */
static tm_status next_line(tm_rebuild *r, tm_error *error)
{
    tm_journal_line_free(r->line);
    r->line = NULL;
    r->begun = false;
    tm_slice bytes;
    r->ledger->asked = TM_WAITING_JOURNAL;
    tm_status status = r->journal->next(r->journal->context, &bytes, error);
    if (status != TM_OK)
        return status;
    if (!bytes.data) {
        r->at_end = true;
        return TM_OK;
    }
    status = tm_journal_decode(bytes, &r->line, error);
    if (status != TM_OK)
        return halt(r, TM_HALT_JOURNAL_DAMAGED, "a line of the journal cannot be read", "restore the journal topic",
                    error);
    tm_slice group = r->line->commit ? r->line->commit->group : r->line->configuration->group;
    if (!tm_slice_equal(group, r->holding->settings->group)) {
        tm_journal_line_free(r->line); /* of another group that journals to the same topic */
        r->line = NULL;
        return TM_OK;
    }
    TM_CRASH_POINT("rebuild_line");
    if (r->line->configuration) {
        status = take_configuration(r, r->line->configuration, error);
        tm_journal_line_free(r->line);
        r->line = NULL;
    }
    return status;
}

static tm_status erase_again(tm_rebuild *r, const tm_journal_erasure *erasure)
{
    tm_record record = {.input = TM_INPUT_ACCOUNTS,
                        .offset = -1,
                        .timestamp = erasure->at,
                        .kind = TM_RECORD_ERASE,
                        .account = erasure->account};
    tm_outcome outcome;
    return tm_shard_apply(r->holding->shard, &record, &outcome);
}

/* Whether the account was erased after the signal was made. What stands open is cleared at the erasure's own time;
   whatever else has that time came after it. */
static bool erased_since(const tm_journal_commit *line, const tm_journal_signal *s)
{
    for (uint32_t i = 0; i < line->erasure_count; i++) {
        const tm_journal_erasure *erasure = &line->erasures[i];
        if (tm_slice_equal(erasure->account, s->account) &&
            (erasure->at > s->time || (erasure->at == s->time && s->state == TM_SIGNAL_CLEARED)))
            return true;
    }
    return false;
}

/* Episodes as the line tells them: once records are missing, judging again would tell others than were published. */
static tm_status impose(tm_rebuild *r, const tm_journal_commit *line)
{
    tm_status status = TM_OK;
    for (uint32_t i = 0; r->gone && i < line->erasure_count && status == TM_OK; i++)
        status = erase_again(r, &line->erasures[i]);
    for (uint32_t i = 0; i < line->signal_count && status == TM_OK; i++) {
        const tm_journal_signal *s = &line->signals[i];
        if (!erased_since(line, s))
            status = tm_shard_impose(r->holding->shard, s->account, s->rule, s->kind, s->severity, s->state,
                                     s->raised_at, s->time, s->sequence);
    }
    return status;
}

/* The end of a journal some of whose records were gone: from here on the shard judges for itself. */
static tm_status end_partial(tm_rebuild *r)
{
    r->partial = false;
    if (r->complete_from != TM_TIME_NONE)
        tm_shard_count_from(r->holding->shard, r->complete_from);
    return tm_shard_mute(r->holding->shard, false);
}

static tm_status finish_line(tm_rebuild *r, const tm_journal_commit *line, tm_error *error)
{
    tm_holding *holding = r->holding;
    tm_status status = TM_OK;
    if (r->partial) {
        status = impose(r, line);
        if (status == TM_OK)
            tm_shard_restore_time(holding->shard, line->t_after, line->judged);
    } else if (line->drained) {
        status = tm_shard_advance(holding->shard, line->t_after);
    }
    if (status != TM_OK)
        return halt(r, TM_HALT_MEMORY, "no memory to rebuild the shard", "raise memory_limit", error);
    if (!r->partial &&
        (tm_shard_time(holding->shard) != line->t_after || holding->signal_count != line->signal_count)) {
        tm_log_field fields[] = {
            tm_log_integer("partition", holding->partition), tm_log_integer("commit", line->commit),
            tm_log_integer("signals", holding->signal_count), tm_log_integer("journalled", line->signal_count)};
        r->ledger->log->write(r->ledger->log->context, TM_LOG_WARNING, "rebuild_differs",
                              "A replayed commit differs from the journal: account records were compacted since",
                              fields, 4);
    }
    tm_shard_settled(holding->shard);
    holding->open = false;
    holding->records = 0;
    r->commit = line->commit;
    for (int i = 0; i < TM_INPUTS; i++) {
        if (holding->intake.lanes[i].on && holding->intake.lanes[i].next < line->to[i])
            holding->intake.lanes[i].next = line->to[i];
    }
    return TM_OK;
}

static tm_status finish(tm_rebuild *r, tm_error *error)
{
    tm_holding *holding = r->holding;
    if (!holding->shard || r->commit != r->target.commit)
        return halt(
            r, TM_HALT_JOURNAL_SHORT, "the journal does not lead to the commit that the group's offsets name",
            "restore the journal topic, or remove the group's offsets to begin anew (signals will be raised again)",
            error);
    const tm_pack *current = holding->pack;
    if (r->pack != current) {
        /* The rules changed since the last commit: what they do from here on is the next commit's to tell. */
        if (tm_shard_adopt(holding->shard, current) != TM_OK)
            return halt(r, TM_HALT_MEMORY, "no memory to write the rebuilt shard", "raise memory_limit", error);
        r->pack = current;
        r->adopted = true;
    }
    if ((r->partial && end_partial(r) != TM_OK) || tm_shard_touch_all(holding->shard) != TM_OK)
        return halt(r, TM_HALT_MEMORY, "no memory to write the rebuilt shard", "raise memory_limit", error);
    TM_CRASH_POINT("rebuild_install");
    tm_status status = tm_ledger_install(r->ledger, holding, r->target, error);
    TM_CRASH_POINT("rebuild_installed");
    if (status == TM_RETRY)
        return status;
    if (status == TM_REJECT) { /* another has it, or it has to be looked at again */
        tm_holding_drop(holding);
        return TM_OK;
    }
    if (status != TM_OK)
        return halt(r, TM_HALT_WRITE_FAILED, error->what, error->hint, error);
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        lane->finished = lane->closed = lane->drained = false;
        lane->end = holding->settings->ends[i] ? holding->settings->ends[i][holding->partition] : INT64_MAX;
        lane->until = holding->settings->until;
    }
    holding->published = holding->stored;
    holding->publishing = true;
    holding->configuration_told = !r->adopted;
    holding->state = TM_HOLDING_LIVE;
    tm_log_field fields[] = {tm_log_integer("partition", holding->partition),
                             tm_log_integer("commit", r->target.commit),
                             tm_log_integer("accounts", tm_shard_account_count(holding->shard))};
    r->ledger->log->write(r->ledger->log->context, TM_LOG_INFO, "rebuilt", "The shard was rebuilt from the journal",
                          fields, 3);
    return TM_OK;
}

static void begin_line(tm_rebuild *r, const tm_journal_commit *line)
{
    tm_holding *holding = r->holding;
    bool gone = false;
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        if (!lane->on)
            continue;
        gone |= line->from[i] < r->first[i] && line->from[i] < line->to[i];
        lane->end = line->to[i];
        lane->finished = lane->next >= line->to[i];
    }
    /* Lines may be missing too, at the journal's begin above all. */
    gone |= line->commit != r->commit + 1;
    r->gone = gone;
    r->partial |= gone;
    if (gone) {
        (void)tm_shard_mute(holding->shard, true);
        r->complete_from = line->t_after;
    }
    tm_holding_begin(holding, line->clock_begin);
    for (int i = 0; i < TM_INPUTS; i++) {
        tm_lane *lane = &holding->intake.lanes[i];
        lane->finished = lane->on && lane->next >= line->to[i];
    }
    r->begun = true;
}

tm_status tm_rebuild_step(tm_rebuild *r, bool *ret_waiting, tm_error *error)
{
    tm_holding *holding = r->holding;
    *ret_waiting = false;
    uint32_t applied = 0;
    while (applied < APPLY_AT_ONCE) {
        if (!r->line && !r->at_end) {
            tm_status status = next_line(r, error);
            if (status != TM_OK)
                return status;
            continue;
        }
        if (r->at_end || r->commit == r->target.commit)
            return finish(r, error);
        const tm_journal_commit *line = r->line->commit;
        if (!holding->shard)
            return halt(r, TM_HALT_JOURNAL_SHORT, "the journal has no configuration before its first commit",
                        "restore the journal topic", error);
        TM_CRASH_POINT("rebuild_commit");
        if (!r->begun)
            begin_line(r, line);
        if (tm_shard_time(holding->shard) == TM_TIME_NONE && line->t_before != TM_TIME_NONE)
            tm_shard_restore_time(holding->shard, line->t_before, false);
        uint32_t count = 0;
        tm_intake_answer answer = TM_INTAKE_EMPTY;
        if (!tm_intake_finished(&holding->intake)) {
            tm_status status = tm_holding_apply(holding, APPLY_AT_ONCE - applied, &count, &answer, error);
            if (status != TM_OK)
                return halt(r, TM_HALT_MEMORY, error->what, error->hint, error);
            applied += count;
            if (answer == TM_INTAKE_UNKNOWN) {
                status = tm_intake_confirm(&holding->intake, error);
                if (count == 0 && !tm_intake_finished(&holding->intake)) {
                    *ret_waiting = true;
                    return status == TM_RETRY ? TM_OK : status;
                }
                continue;
            }
            if (answer == TM_INTAKE_RECORD)
                continue;
        }
        TM_CRASH_POINT("rebuild_commit_applied");
        tm_status status = finish_line(r, line, error);
        if (status != TM_OK)
            return status;
        tm_journal_line_free(r->line);
        r->line = NULL;
    }
    return TM_OK;
}
