/* The store and its port. A commit is two exchanges, as with the real one: the first reads and queues, the second
   writes, and only if nothing was written in between. What was sent in the second and never answered may still come;
   reading puts an end to that doubt by writing something itself. */
#include <inttypes.h>
#include <string.h>

#include "sim.h"

/* ---- Lists ---- */

static void add_kept(sim *s, sim_kepts *list, int64_t commit, tm_slice bytes)
{
    if (list->count == list->capacity) {
        uint32_t live = list->count - list->first;
        uint32_t capacity = live * 2 + 16;
        sim_kept *items = sim_take(s, sizeof *items * capacity);
        if (live)
            memcpy(items, list->items + list->first, sizeof *items * live);
        *list = (sim_kepts){items, 0, live, capacity};
    }
    list->items[list->count++] = (sim_kept){commit, sim_copy(s, bytes)};
}

static void forget_below(sim_kepts *list, int64_t commit)
{
    while (list->first < list->count && list->items[list->first].commit < commit)
        list->first++;
}

static sim_kept_account *account_of(const sim_shard *shard, tm_slice key)
{
    for (uint32_t i = 0; i < shard->account_count; i++) {
        if (tm_slice_equal(shard->accounts[i].key, key))
            return &shard->accounts[i];
    }
    return NULL;
}

static void put_account(sim *s, sim_shard *shard, tm_slice key, tm_slice blob)
{
    sim_kept_account *account = account_of(shard, key);
    if (!blob.data) {
        if (account)
            *account = shard->accounts[--shard->account_count];
        return;
    }
    if (!account) {
        if (shard->account_count == shard->account_capacity) {
            uint32_t capacity = shard->account_capacity * 2 + 8;
            sim_kept_account *accounts = sim_take(s, sizeof *accounts * capacity);
            if (shard->account_count)
                memcpy(accounts, shard->accounts, sizeof *accounts * shard->account_count);
            shard->accounts = accounts;
            shard->account_capacity = capacity;
        }
        account = &shard->accounts[shard->account_count++];
        account->key = sim_copy(s, key);
    }
    account->blob = sim_copy(s, blob);
}

/* ---- What must hold at every commit ---- */

static void look_around(sim_life *life, int32_t partition)
{
    sim *s = life->s;
    if (partition >= (int32_t)s->partitions)
        return;
    for (int i = 0; i < TM_INPUTS; i++) {
        const sim_log *log = sim_input(s, (tm_input)i, partition);
        life->seen_end[i][partition] = sim_visible_end(log);
        life->seen_hold[i][partition] = log->held >= 0 ? log->hold : 0;
    }
}

static void check_line(sim_life *life, const tm_store_commit *commit, const sim_shard *shard, const sim_line *line)
{
    sim *s = life->s;
    int32_t p = commit->partition;
    if (line->n != commit->position.commit)
        sim_fail(s, "shard %d: commit %" PRId64 " carries line %" PRId64, p, commit->position.commit, line->n);
    for (int i = 0; i < TM_INPUTS; i++) {
        if (line->to[i] != commit->position.next[i] || line->from[i] > line->to[i] ||
            (shard->present && line->from[i] != shard->position.next[i]))
            sim_fail(s,
                     "shard %d: line %" PRId64 " reads [%" PRId64 ", %" PRId64 ") of input %d between R %" PRId64
                     " and %" PRId64,
                     p, line->n, line->from[i], line->to[i], i, shard->position.next[i], commit->position.next[i]);
    }
    if (line->t_after != TM_TIME_NONE && line->t_before != TM_TIME_NONE && line->t_after < line->t_before)
        sim_fail(s, "shard %d: T goes back in commit %" PRId64, p, line->n);
    if (shard->present && shard->time != TM_TIME_NONE && line->t_before != shard->time)
        sim_fail(s, "shard %d: commit %" PRId64 " begins with T %" PRId64 ", the one before ended with %" PRId64, p,
                 line->n, line->t_before, shard->time);
    for (int i = 0; i < TM_INPUTS && line->drained; i++) {
        const sim_log *log = sim_input(s, (tm_input)i, p);
        if (line->to[i] < life->seen_end[i][p] ||
            (life->seen_hold[i][p] && log->held >= 0 && log->hold == life->seen_hold[i][p]))
            sim_fail(s,
                     "shard %d: commit %" PRId64 " was not drained of input %d: it read up to %" PRId64 ", %" PRId64
                     " was there when the last commit was made",
                     p, line->n, i, line->to[i], life->seen_end[i][p]);
    }
}

static void check_commit(sim_life *life, const tm_store_commit *commit, const sim_shard *shard)
{
    sim *s = life->s;
    int32_t p = commit->partition;
    uint32_t lines = 0;
    sim_line line;
    for (uint32_t i = 0; i < commit->outbox_count; i++) {
        tm_slice value;
        if (sim_outbox_journal(commit->outbox[i], &value) && sim_line_read(value, &line)) {
            lines++;
            check_line(life, commit, shard, &line);
        }
    }
    bool install = lines == 0 && commit->outbox_count == 0;
    if (!install && lines != 1)
        sim_fail(s, "shard %d: commit %" PRId64 " has %u lines of the journal", p, commit->position.commit, lines);
    if (!install && commit->position.commit != shard->position.commit + 1)
        sim_fail(s, "shard %d: commit %" PRId64 " follows %" PRId64, p, commit->position.commit,
                 shard->position.commit);
    int64_t c = s->known[p].commit;
    if (commit->outbox_published > c)
        sim_fail(s, "shard %d: outputs up to commit %" PRId64 " are forgotten, published are those up to %" PRId64, p,
                 commit->outbox_published, c);
    if (!s->store_lost && shard->claimer != life)
        sim_fail(s, "shard %d: worker %d writes, after worker %d claimed it", p, life->number,
                 shard->claimer ? shard->claimer->number : -1);
    if (!s->store_lost && c > commit->position.commit)
        sim_fail(s, "shard %d: C.n is %" PRId64 ", R.n %" PRId64, p, c, commit->position.commit);
}

/* Afterwards: the outbox has each commit beyond what is published. */
static void check_outbox(sim *s, int32_t p, const sim_shard *shard)
{
    int64_t c = s->known[p].commit > 0 ? s->known[p].commit : 0;
    int64_t expected = 0;
    for (uint32_t i = shard->outbox.first; i < shard->outbox.count; i++) {
        int64_t n = shard->outbox.items[i].commit;
        if (expected && n != expected && n != expected - 1)
            sim_fail(s, "shard %d: the outbox goes on with commit %" PRId64 " where %" PRId64 " is due", p, n,
                     expected);
        expected = n + 1;
    }
    int64_t oldest = shard->outbox.first < shard->outbox.count ? shard->outbox.items[shard->outbox.first].commit
                                                               : shard->position.commit + 1;
    if (c < shard->position.commit && (oldest > c + 1 || expected != shard->position.commit + 1))
        sim_fail(s, "shard %d: C.n is %" PRId64 ", R.n %" PRId64 ", and the outbox begins with %" PRId64, p, c,
                 shard->position.commit, oldest);
}

/* ---- Commit ---- */

static bool expected_is_there(const sim_shard *shard, const tm_store_commit *commit)
{
    bool position = commit->expected.commit == 0
                        ? !shard->present
                        : shard->present && tm_position_equal(shard->position, commit->expected);
    return shard->claimed && position && shard->epoch == commit->epoch;
}

static void apply(sim_life *life, const tm_store_commit *commit)
{
    sim *s = life->s;
    sim_shard *shard = &s->store.shards[commit->partition];
    bool judged = commit->partition < (int32_t)s->partitions && life->judged;
    if (judged)
        check_commit(life, commit, shard);
    for (uint32_t i = 0; i < commit->write_count; i++)
        put_account(s, shard, commit->writes[i].account, commit->writes[i].blob);
    if (commit->fingerprints.length)
        add_kept(s, &shard->fingerprints, commit->position.commit, commit->fingerprints);
    forget_below(&shard->fingerprints, commit->fingerprints_from);
    shard->time = TM_TIME_NONE;
    for (uint32_t i = 0; i < commit->outbox_count; i++) {
        tm_slice value;
        sim_line line;
        add_kept(s, &shard->outbox, commit->position.commit, commit->outbox[i]);
        if (sim_outbox_journal(commit->outbox[i], &value) && sim_line_read(value, &line))
            shard->time = line.t_after;
    }
    forget_below(&shard->outbox, commit->outbox_published < INT64_MAX ? commit->outbox_published + 1 : INT64_MAX);
    shard->meta = sim_copy(s, commit->meta);
    shard->present = true;
    shard->returned = false;
    shard->position = commit->position;
    shard->version = ++s->versions;
    s->commits++;
    sim_mix(s, (uint64_t)commit->position.commit);
    sim_mix(s, tm_hash(commit->meta));
    sim_note(s, "shard %d: commit %" PRId64 " at [%" PRId64 ", %" PRId64 "], %u accounts, %u outputs",
             commit->partition, commit->position.commit, commit->position.next[0], commit->position.next[1],
             commit->write_count, commit->outbox_count);
    if (judged) {
        check_outbox(s, commit->partition, shard);
        life->wrote[commit->partition] = true;
        look_around(life, commit->partition);
    }
}

typedef struct late_commit {
    sim_life *life;
    tm_store_commit commit;
    uint64_t version;
} late_commit;

/* A commit as it lies in a connection that nobody reads from any more. */
static late_commit *keep_commit(sim_life *life, const tm_store_commit *commit, uint64_t version)
{
    sim *s = life->s;
    late_commit *kept = sim_take(s, sizeof *kept);
    *kept = (late_commit){life, *commit, version};
    tm_store_write *writes = sim_take(s, sizeof *writes * (commit->write_count + 1));
    tm_slice *outbox = sim_take(s, sizeof *outbox * (commit->outbox_count + 1));
    for (uint32_t i = 0; i < commit->write_count; i++)
        writes[i] = (tm_store_write){sim_copy(s, commit->writes[i].account), sim_copy(s, commit->writes[i].blob)};
    for (uint32_t i = 0; i < commit->outbox_count; i++)
        outbox[i] = sim_copy(s, commit->outbox[i]);
    kept->commit.writes = writes;
    kept->commit.outbox = outbox;
    kept->commit.meta = sim_copy(s, commit->meta);
    kept->commit.fingerprints = sim_copy(s, commit->fingerprints);
    return kept;
}

void sim_store_late(sim *s, void *with)
{
    late_commit *late = with;
    if (s->store.shards[late->commit.partition].version != late->version)
        return; /* its WATCH saw something */
    sim_note(s, "a late EXEC of worker %d is carried out", late->life->number);
    apply(late->life, &late->commit);
}

static tm_status no_answer(tm_error *error, const char *what)
{
    return tm_fail(error, TM_RETRY, "store: %s: no answer", what);
}

/* A commit that counts as drained has taken all that was delivered when its end was decided: at the first attempt. */
static void check_attempt(sim_life *life, const tm_store_commit *commit)
{
    sim *s = life->s;
    int32_t p = commit->partition;
    if (!life->judged || life->dead || life->tried[p] == commit->position.commit)
        return;
    life->tried[p] = commit->position.commit;
    for (uint32_t i = 0; i < commit->outbox_count; i++) {
        tm_slice value;
        sim_line line;
        if (!sim_outbox_journal(commit->outbox[i], &value) || !sim_line_read(value, &line) || !line.drained)
            continue;
        for (int k = 0; k < TM_INPUTS; k++) {
            int64_t delivered = life->member.next[k][p];
            const sim_log *log = sim_input(s, (tm_input)k, p);
            while (delivered > 0 && log->items[delivered - 1]->kind == SIM_HIDDEN)
                delivered--;
            if (line.to[k] < delivered)
                sim_fail(s,
                         "shard %d: commit %" PRId64 " was not drained of input %d: it took up to %" PRId64
                         ", delivered was up to %" PRId64,
                         p, line.n, k, line.to[k], delivered);
        }
    }
}

static tm_status store_commit(void *context, const tm_store_commit *commit, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    int32_t p = commit->partition;
    sim_shard *shard = &s->store.shards[p];
    if (commit->position.commit <= commit->expected.commit)
        return tm_fail(error, TM_FATAL, "a commit must have a greater number than the one before it");
    check_attempt(life, commit);
    if (sim_call(life, SIM_COMMIT, p, NULL) != SIM_FINE)
        return no_answer(error, "commit");
    uint64_t version = shard->version;
    if (!expected_is_there(shard, commit)) {
        if (life->judged) /* should it be its own: it does not know, and claims the shard again */
            life->wrote[p] = false;
        return tm_fail(error, TM_REJECT, "shard %d: the store has commit %" PRId64 " of epoch %" PRId64, p,
                       shard->position.commit, shard->epoch);
    }
    int64_t later = 0;
    sim_fate fate = sim_call(life, SIM_EXECUTE, p, &later);
    if (fate == SIM_DEAD)
        return no_answer(error, "exec");
    bool clean = shard->version == version;
    if (fate == SIM_FINE && !clean)
        return tm_fail(error, TM_REJECT, "shard %d was written by another while we committed", p);
    if (fate == SIM_COMES_LATE || fate == SIM_TWICE)
        sim_at(s, s->now + later, SIM_HAPPENS_EXECUTE, 0, 0, keep_commit(life, commit, version));
    if (clean && (fate == SIM_FINE || fate == SIM_NO_ANSWER || fate == SIM_TWICE || fate == SIM_DIES))
        apply(life, commit);
    if (s->to_give_up && clean && fate == SIM_FINE && life->judged)
        sim_give_up(s, p);
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    if (fate == SIM_FINE && sim_pass(life, sim_below(&s->schedule, s->latency + 1)))
        return TM_OK;
    life->in_doubt[p] = true;
    return no_answer(error, "exec");
}

/* ---- The rest of the port ---- */

static void tell(const sim_shard *shard, tm_store_state *ret_state)
{
    *ret_state = (tm_store_state){shard->present, shard->position, shard->epoch, shard->meta};
}

static tm_status store_claim(void *context, int32_t p, int64_t generation, int64_t raise, tm_store_state *ret_state,
                             tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    sim_fate fate = sim_call(life, SIM_CLAIM, p, NULL);
    *ret_state = (tm_store_state){0};
    if (raise < 1 || raise > TM_EPOCH_RAISE_MAX)
        return tm_fail(error, TM_FATAL, "a claim raises the epoch by at least one");
    if (fate == SIM_DEAD || fate == SIM_FAILS)
        return no_answer(error, "claim");
    sim_shard *shard = &s->store.shards[p];
    if (generation >= 0 && shard->generation > generation)
        return tm_fail(error, TM_REJECT, "shard %d was claimed in generation %" PRId64, p, shard->generation);
    if (generation >= 0)
        shard->generation = generation;
    else if (generation == TM_GENERATION_ANEW)
        shard->generation = -1;
    shard->claimed = true;
    shard->returned = false;
    shard->claimer = life;
    shard->epoch += raise;
    shard->version = ++s->versions;
    look_around(life, p);
    if (life->judged)
        life->tried[p] = 0;
    for (uint32_t i = 0; i < s->life_count && life->judged; i++)
        s->lives[i]->wrote[p] = false;
    tell(shard, ret_state);
    sim_note(s, "shard %d: claimed, epoch %" PRId64 ", R.n %" PRId64, p, shard->epoch, shard->position.commit);
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    if (fate != SIM_FINE || !sim_pass(life, sim_below(&s->schedule, s->latency + 1)))
        return no_answer(error, "claim");
    return TM_OK;
}

static tm_status store_read(void *context, int32_t p, tm_store_state *ret_state, tm_error *error)
{
    sim_life *life = context;
    sim *s = life->s;
    sim_shard *shard = &s->store.shards[p];
    *ret_state = (tm_store_state){0};
    sim_fate fate = sim_call(life, SIM_READ, p, NULL);
    if (fate == SIM_DEAD || fate == SIM_FAILS)
        return no_answer(error, "read");
    if (life->in_doubt[p]) { /* what is still under way finds that something was written */
        shard->version = ++s->versions;
        life->in_doubt[p] = fate != SIM_FINE;
    }
    tell(shard, ret_state);
    if (fate == SIM_DIES)
        sim_crash(s, life->process, 1000, false);
    return fate == SIM_FINE ? TM_OK : no_answer(error, "read");
}

static tm_status scan(sim_life *life, int32_t p, const sim_kepts *list, int64_t beyond, tm_store_visit visit,
                      void *visit_context, tm_error *error)
{
    sim_fate fate = sim_call(life, SIM_SCAN, p, NULL);
    if (fate == SIM_DEAD)
        return no_answer(error, "scan");
    for (uint32_t i = list->first; i < list->count; i++) {
        if (list->items[i].commit <= beyond)
            continue;
        tm_status status = visit(visit_context, list->items[i].commit, (tm_slice){0}, list->items[i].bytes);
        if (status != TM_OK)
            return status;
        if (fate != SIM_FINE)
            break; /* a part has come already */
    }
    return fate == SIM_FINE ? TM_OK : no_answer(error, "scan");
}

static tm_status store_scan_fingerprints(void *context, int32_t p, tm_store_visit visit, void *visit_context,
                                         tm_error *error)
{
    sim_life *life = context;
    return scan(life, p, &life->s->store.shards[p].fingerprints, -1, visit, visit_context, error);
}

static tm_status store_scan_outbox(void *context, int32_t p, int64_t published, tm_store_visit visit,
                                   void *visit_context, tm_error *error)
{
    sim_life *life = context;
    return scan(life, p, &life->s->store.shards[p].outbox, published, visit, visit_context, error);
}

static tm_status store_scan_accounts(void *context, int32_t p, tm_store_visit visit, void *visit_context,
                                     tm_error *error)
{
    sim_life *life = context;
    const sim_shard *shard = &life->s->store.shards[p];
    sim_fate fate = sim_call(life, SIM_SCAN, p, NULL);
    if (fate == SIM_DEAD)
        return no_answer(error, "scan");
    for (uint32_t i = 0; i < shard->account_count; i++) {
        sim_kept_account account = shard->accounts[i];
        tm_status status = visit(visit_context, 0, account.key, account.blob);
        if (status != TM_OK)
            return status;
        if (fate != SIM_FINE)
            break;
        if (i % 4 == 3 && life->judged && !sim_pass(life, sim_below(&life->s->schedule, 2)))
            return no_answer(error, "scan");
    }
    return fate == SIM_FINE ? TM_OK : no_answer(error, "scan");
}

static tm_status store_get_account(void *context, int32_t p, tm_slice key, tm_slice *ret_blob, tm_error *error)
{
    sim_life *life = context;
    *ret_blob = (tm_slice){0};
    if (sim_call(life, SIM_READ, p, NULL) != SIM_FINE)
        return no_answer(error, "get");
    const sim_kept_account *account = account_of(&life->s->store.shards[p], key);
    if (account)
        *ret_blob = account->blob;
    return TM_OK;
}

static void empty_shard(sim *s, sim_shard *shard)
{
    *shard = (sim_shard){.position = {{-1, -1}, 0}, .generation = -1, .time = TM_TIME_NONE};
    shard->version = ++s->versions;
}

static tm_status store_remove(void *context, int32_t p, tm_error *error)
{
    sim_life *life = context;
    if (sim_call(life, SIM_READ, p, NULL) != SIM_FINE)
        return no_answer(error, "remove");
    empty_shard(life->s, &life->s->store.shards[p]);
    return TM_OK;
}

static tm_status store_settle_group(void *context, const char *name, int64_t proposal, int64_t *ret_value,
                                    tm_error *error)
{
    sim_life *life = context;
    sim_store *store = &life->s->store;
    *ret_value = 0;
    if (!name || !name[0] || strlen(name) > 64)
        return tm_fail(error, TM_FATAL, "a value of the group needs a name of 1 to 64 bytes");
    if (sim_call(life, SIM_SETTLE_GROUP, -1, NULL) != SIM_FINE)
        return no_answer(error, "value of the group");
    for (uint32_t i = 0; i < store->value_count; i++) {
        if (strcmp(store->values[i].name, name) == 0) {
            *ret_value = store->values[i].value;
            return TM_OK;
        }
    }
    if (store->value_count < sizeof store->values / sizeof *store->values) {
        sim_value *made = &store->values[store->value_count++];
        snprintf(made->name, sizeof made->name, "%s", name);
        made->value = proposal;
    }
    *ret_value = proposal;
    return TM_OK;
}

static tm_status store_check(void *context, tm_error *error)
{
    (void)context, (void)error;
    return TM_OK;
}

static void store_close(void *context)
{
    (void)context;
}

tm_store sim_store_port(sim_life *life)
{
    return (tm_store){.context = life,
                      .claim = store_claim,
                      .read = store_read,
                      .commit = store_commit,
                      .scan_accounts = store_scan_accounts,
                      .scan_fingerprints = store_scan_fingerprints,
                      .scan_outbox = store_scan_outbox,
                      .get_account = store_get_account,
                      .remove = store_remove,
                      .settle_group = store_settle_group,
                      .check = store_check,
                      .close = store_close};
}

/* ---- What happens to a store ---- */

void sim_store_remove(sim *s, int32_t partition)
{
    empty_shard(s, &s->store.shards[partition]);
}

void sim_store_emptied(sim *s)
{
    for (int p = 0; p < SIM_SHARDS; p++)
        empty_shard(s, &s->store.shards[p]);
    s->store.value_count = 0;
    s->store_lost = true;
    s->losses++;
}

sim_store *sim_store_snapshot(sim *s)
{
    sim_store *copy = sim_take(s, sizeof *copy);
    *copy = s->store;
    for (uint32_t p = 0; p < s->partitions; p++) {
        sim_shard *shard = &copy->shards[p];
        sim_kept_account *accounts = sim_take(s, sizeof *accounts * (shard->account_capacity + 1));
        if (shard->account_count)
            memcpy(accounts, shard->accounts, sizeof *accounts * shard->account_count);
        shard->accounts = accounts;
        /* The lists of the original only grow at their end and lose at their begin: their room may be shared, but not
           what either adds. */
        shard->fingerprints.capacity = shard->fingerprints.count;
        shard->outbox.capacity = shard->outbox.count;
    }
    return copy;
}

void sim_store_restore(sim *s, const sim_store *from)
{
    s->store = *from;
    for (int p = 0; p < SIM_SHARDS; p++) {
        s->store.shards[p].version = ++s->versions;
        s->store.shards[p].returned = true;
    }
    s->store_lost = true;
    s->losses++;
}
