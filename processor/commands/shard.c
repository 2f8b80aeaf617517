#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tidemark/adapters/system/random.h"
#include "tidemark/commands/commands.h"
#include "tidemark/commands/shards.h"

enum { PARTITIONS_MAX = 4096, STEPS_MAX = 3 };

typedef enum choice { CHOICE_RESUME, CHOICE_REBUILD, CHOICE_RESET } choice;
typedef enum step_kind { STEP_SET_OFFSETS, STEP_FORGET_OFFSETS, STEP_REMOVE_STATE, STEP_CUT_JOURNAL } step_kind;

/* What is to be done with one shard, in this order: whatever is done of it, doing all of it again is right. */
typedef struct plan {
    int32_t partition;
    char found[40];
    struct {
        step_kind kind;
        tm_position position; /* STEP_SET_OFFSETS */
    } steps[STEPS_MAX];
    uint32_t count, done;
    bool claimed; /* the store has a state whose epoch and generation are others' */
    bool refused;
    tm_error why;
} plan;

typedef struct deciding {
    const tm_command *command;
    choice choice;
    const char *outbox, *at;
    bool dry_run, json, yes;
    plan *plans;
    uint32_t count;
} deciding;

static void refuse(plan *p, const char *what, const char *hint)
{
    p->refused = true;
    tm_fail(&p->why, TM_REJECT, "%s", what);
    tm_error_where(&p->why, "shard %d", (int)p->partition);
    if (hint)
        tm_error_hint(&p->why, "%s", hint);
}

static void add_step(plan *p, step_kind kind, tm_position position)
{
    p->steps[p->count].kind = kind;
    p->steps[p->count++].position = position;
}

/* Offsets that say what of the outbox is published: all, or none of what is there. */
static void plan_outbox(const deciding *d, plan *p, const tm_evidence *e)
{
    tm_position position = e->stored;
    if (e->outbox.oldest == 0 || strcmp(d->outbox ? d->outbox : "", "discard") == 0) {
        add_step(p, STEP_SET_OFFSETS, position);
        return;
    }
    if (!d->outbox) {
        char what[200];
        snprintf(what, sizeof what,
                 "outputs of commits %lld to %lld wait, and whether they were published is not known",
                 (long long)e->outbox.oldest, (long long)e->outbox.newest);
        refuse(p, what,
               "--outbox publish publishes them, at the risk of doing so twice (ids stay the same); --outbox discard "
               "drops them, at the risk of losing them");
        return;
    }
    if (e->outbox.gap || e->outbox.newest != e->stored.commit) {
        refuse(p, "the outputs that wait are not whole: they cannot be published", "--outbox discard drops them");
        return;
    }
    position.commit = e->outbox.oldest - 1;
    add_step(p, STEP_SET_OFFSETS, position);
}

/* The records at R - 1 are there and are those that were read. */
static bool same_log(const tm_shard_look *look)
{
    const tm_evidence *e = &look->evidence;
    for (int i = 0; i < TM_INPUTS; i++) {
        const tm_record_mark *kept = &look->meta.marks[i], *found = e->beyond[i];
        if (!e->topics[i].data || kept->offset < 0)
            continue;
        if (!found || found->offset != kept->offset || found->timestamp != kept->timestamp ||
            found->key_hash != kept->key_hash)
            return false;
    }
    return true;
}

static void plan_resume(const deciding *d, plan *p, const tm_shard_look *look)
{
    if (look->verdict.row != TM_ROW_HALT)
        return; /* it goes on by itself */
    switch (look->verdict.halt) {
    case TM_HALT_OFFSETS_MOVED:
        add_step(p, STEP_SET_OFFSETS, look->evidence.stored);
        return;
    case TM_HALT_OFFSETS_FOREIGN:
        if (!look->evidence.present)
            refuse(p, "the store has no state of it to go on from", "'tidemark shard reset' begins anew");
        else if (look->evidence.meta)
            plan_outbox(d, p, &look->evidence);
        else
            refuse(p, "its meta record is damaged, and the offsets do not say to where it could be rebuilt",
                   "'tidemark shard reset' begins anew");
        return;
    case TM_HALT_OFFSETS_OLDER:
    case TM_HALT_OFFSETS_EXPIRED:
        plan_outbox(d, p, &look->evidence);
        return;
    case TM_HALT_TOPIC_RECREATED:
        if (same_log(look)) { /* only the offsets of one topic are gone */
            add_step(p, STEP_SET_OFFSETS, look->evidence.stored);
            return;
        }
        refuse(p, look->verdict.why.what, look->verdict.why.hint);
        return;
    default:
        refuse(p, look->verdict.why.what, look->verdict.why.hint);
    }
}

static void plan_rebuild(plan *p, const tm_shard_look *look)
{
    const tm_evidence *e = &look->evidence;
    bool halted = look->verdict.row == TM_ROW_HALT;
    if (e->committed.commit <= 0)
        refuse(p, "the group's offsets name no commit: how far to rebuild is not known",
               "'tidemark shard resume' first, where the state is whole, or 'tidemark shard reset'");
    else if (halted && look->verdict.halt != TM_HALT_STATE_DAMAGED && look->verdict.halt != TM_HALT_OFFSETS_OLDER)
        refuse(p, look->verdict.why.what, look->verdict.why.hint);
    else
        add_step(p, STEP_REMOVE_STATE, e->committed);
}

static void plan_reset(const deciding *d, plan *p, const tm_shard_look *look)
{
    const tm_evidence *e = &look->evidence;
    if (look->verdict.row == TM_ROW_HALT && look->verdict.halt == TM_HALT_PARTITIONS_CHANGED) {
        refuse(p, look->verdict.why.what, look->verdict.why.hint);
        return;
    }
    tm_position begin = {{-1, -1}, 0};
    bool whole = true;
    for (int i = 0; i < TM_INPUTS; i++) {
        if (e->end[i] < 0)
            continue;
        bool end = i == TM_INPUT_USAGE && strcmp(d->at, "end") == 0; /* facts are always read from their beginning */
        begin.next[i] = end ? e->end[i] : e->first[i];
        whole &= begin.next[i] == 0;
    }
    add_step(p, STEP_CUT_JOURNAL, begin);
    add_step(p, STEP_REMOVE_STATE, begin);
    add_step(p, whole ? STEP_FORGET_OFFSETS : STEP_SET_OFFSETS, begin);
}

static void make_plan(const deciding *d, const tm_shard_look *look, plan *p)
{
    bool halted = look->verdict.row == TM_ROW_HALT;
    p->partition = look->partition;
    snprintf(p->found, sizeof p->found, "%s",
             halted ? tm_halt_code(look->verdict.halt) : tm_row_name(look->verdict.row));
    p->claimed = d->choice == CHOICE_RESUME && look->evidence.present;
    if (d->choice == CHOICE_RESUME)
        plan_resume(d, p, look);
    else if (d->choice == CHOICE_REBUILD)
        plan_rebuild(p, look);
    else
        plan_reset(d, p, look);
}

static tm_status carry_out(tm_shards *shards, plan *p, tm_error *error)
{
    tm_status status = TM_OK;
    for (p->done = 0; p->done < p->count && status == TM_OK; p->done += status == TM_OK) {
        switch (p->steps[p->done].kind) {
        case STEP_SET_OFFSETS:
            if (p->claimed) {
                /* A group that was deleted counts its generations from 1 again: the former ones are forgotten. */
                tm_store_state state;
                int64_t raise = 1 + (int64_t)tm_random_below(TM_EPOCH_RAISE_MAX);
                status =
                    shards->store.claim(shards->store.context, p->partition, TM_GENERATION_ANEW, raise, &state, error);
                if (status != TM_OK)
                    break;
            }
            status = tm_kafka_group_set(shards->group, p->partition, p->steps[p->done].position, error);
            break;
        case STEP_FORGET_OFFSETS:
            status = tm_kafka_group_forget(shards->group, p->partition, error);
            break;
        case STEP_REMOVE_STATE:
            status = shards->store.remove(shards->store.context, p->partition, error);
            break;
        case STEP_CUT_JOURNAL:
            status = tm_kafka_group_cut_journal(shards->group, p->partition, error);
            break;
        }
    }
    return status;
}

/* --- what is said --- */

static void say_step(const plan *p, uint32_t i, char text[static 120])
{
    char position[72];
    tm_shards_position(p->steps[i].position, position);
    switch (p->steps[i].kind) {
    case STEP_SET_OFFSETS:
        snprintf(text, 120, "set the group's offsets to %s", position);
        break;
    case STEP_FORGET_OFFSETS:
        snprintf(text, 120, "forget the group's offsets: the log is read from its beginning");
        break;
    case STEP_REMOVE_STATE:
        snprintf(text, 120, "remove the shard's state in Redis");
        break;
    case STEP_CUT_JOURNAL:
        snprintf(text, 120, "delete the shard's lines in the journal");
        break;
    }
}

/* EX_OK, or EX_OSERR after saying that it cannot be told. */
static int show(const deciding *d)
{
    tm_buffer out;
    char text[120];
    tm_buffer_init(&out, 16 << 20);
    if (d->json)
        tm_buffer_append_format(&out, "{\"dry_run\":%s,\"shards\":[", d->dry_run ? "true" : "false");
    for (uint32_t i = 0; i < d->count; i++) {
        const plan *p = &d->plans[i];
        if (d->json) {
            tm_buffer_append_format(&out, "%s{\"shard\":%d,\"found\":\"%s\",\"steps\":[", i ? "," : "",
                                    (int)p->partition, p->found);
            for (uint32_t k = 0; k < p->count; k++) {
                say_step(p, k, text);
                tm_buffer_append_text(&out, k ? "," : "");
                tm_buffer_append_json_string(&out, tm_slice_of(text));
            }
            tm_buffer_append_format(&out, "],\"done\":%u,\"refused\":", (unsigned)p->done);
            tm_buffer_append_json_string(&out, p->refused ? tm_slice_of(p->why.what) : (tm_slice){0});
            tm_buffer_append_char(&out, '}');
            continue;
        }
        tm_buffer_append_format(&out, "shard %d: %s\n", (int)p->partition, p->found);
        if (p->refused)
            tm_buffer_append_format(&out, "  refused: %s\n  %s\n", p->why.what, p->why.hint);
        else if (p->count == 0)
            tm_buffer_append_text(&out, "  nothing has to be decided: it goes on by itself\n");
        for (uint32_t k = 0; k < p->count; k++) {
            say_step(p, k, text);
            tm_buffer_append_format(&out, "  %s%s\n",
                                    d->dry_run    ? "would "
                                    : k < p->done ? "done: "
                                                  : "not done: ",
                                    text);
        }
    }
    if (d->json)
        tm_buffer_append_text(&out, "]}\n");
    fputs(tm_buffer_text(&out), stdout);
    fflush(stdout);
    bool complete = !out.overflowed;
    tm_buffer_done(&out);
    return complete ? EX_OK : tm_cli_say(d->command, EX_OSERR, "out of memory: what was done is not told");
}

/* --- the command --- */

static int unanswered(const deciding *d, tm_status status, const tm_error *error)
{
    int code = tm_cli_fail(d->command, status, error);
    return status == TM_RETRY ? EX_UNAVAILABLE : status == TM_REJECT ? EX_CONFIG : code;
}

static int refuse_members(const deciding *d, const tm_shards *shards)
{
    char names[600] = "";
    for (uint32_t i = 0; i < shards->member_count && i < TM_SHARDS_MEMBERS; i++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", shards->members[i].id);
    }
    return tm_cli_say(
        d->command, EX_TEMPFAIL,
        "the group has %u members (%s): stop these processes first, and wait until their session has ended "
        "(session.timeout.ms, 6 s)",
        (unsigned)shards->member_count, names);
}

static int decide(deciding *d, tm_shards *shards)
{
    tm_error error;
    bool refused = false, steps = false;
    for (uint32_t i = 0; i < d->count; i++) {
        plan *p = &d->plans[i];
        tm_shard_look look;
        tm_error_clear(&error);
        if ((uint32_t)p->partition >= shards->partitions)
            return tm_cli_say(d->command, EX_USAGE, "there is no shard %d: the inputs have %u partitions",
                              (int)p->partition, (unsigned)shards->partitions);
        tm_status status = tm_shards_look(shards, p->partition, &look, &error);
        if (status != TM_OK)
            return unanswered(d, status, &error);
        make_plan(d, &look, p);
        refused |= p->refused;
        steps |= p->count > 0;
    }
    int code = refused ? EX_CONFIG : EX_OK;
    if (code == EX_OK && steps && !d->dry_run) {
        if (shards->member_count > 0)
            return refuse_members(d, shards);
        for (uint32_t i = 0; i < d->count && code == EX_OK; i++) {
            tm_status status = carry_out(shards, &d->plans[i], &error);
            if (status != TM_OK)
                code = unanswered(d, status, &error);
        }
    }
    int unsaid = show(d);
    return code ? code : unsaid;
}

static bool read_partition(const char *text, int32_t *ret_partition)
{
    char *end = NULL;
    long number = strtol(text, &end, 10);
    *ret_partition = (int32_t)number;
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && number >= 0 && number < INT32_MAX;
}

static int read_arguments(deciding *d, int argc, char **argv)
{
    static const char *const choices[] = {"resume", "rebuild", "reset"};
    int chosen = -1;
    for (int i = 0; argc > 1 && i < 3; i++)
        chosen = strcmp(argv[1], choices[i]) == 0 ? i : chosen;
    if (chosen < 0)
        return tm_cli_say(d->command, EX_USAGE, "say what to do: resume, rebuild or reset, then the shards' numbers");
    d->choice = (choice)chosen;
    if (argc < 3 || argc - 2 > PARTITIONS_MAX)
        return tm_cli_say(d->command, EX_USAGE, "name the shards by their numbers, at most %d", (int)PARTITIONS_MAX);
    if (d->outbox && strcmp(d->outbox, "publish") != 0 && strcmp(d->outbox, "discard") != 0)
        return tm_cli_say(d->command, EX_USAGE, "--outbox takes 'publish' or 'discard', not '%s'", d->outbox);
    if (d->outbox && d->choice != CHOICE_RESUME)
        return tm_cli_say(d->command, EX_USAGE, "--outbox belongs to resume");
    if (d->at && (d->choice != CHOICE_RESET || (strcmp(d->at, "begin") != 0 && strcmp(d->at, "end") != 0)))
        return tm_cli_say(d->command, EX_USAGE, "--at belongs to reset and takes 'begin' or 'end'");
    d->at = d->at ? d->at : "begin";
    if (d->choice != CHOICE_RESUME && !d->dry_run && !d->yes)
        return tm_cli_say(d->command, EX_USAGE, "%s removes state: look with --dry-run first, then say --yes",
                          choices[chosen]);
    d->plans = calloc((size_t)argc, sizeof *d->plans);
    if (!d->plans)
        return tm_cli_say(d->command, EX_OSERR, "no memory");
    for (int i = 2; i < argc; i++) {
        if (!read_partition(argv[i], &d->plans[d->count].partition))
            return tm_cli_say(d->command, EX_USAGE, "'%s' is no shard's number", argv[i]);
        d->count++;
    }
    return EX_OK;
}

static int run(const tm_command *command, int argc, char **argv)
{
    tm_setup_options options = {.configuration = "tidemark.yaml"};
    deciding d = {.command = command};
    const tm_option table[] = {
        {"config", "FILE", "configuration (default tidemark.yaml)", TM_OPTION_TEXT, &options.configuration},
        {"rules", "FILE", "rules file instead of the configuration's", TM_OPTION_TEXT, &options.rules},
        {"outbox", "publish|discard",
         "resume: what to do with outputs of which nobody knows whether they were published", TM_OPTION_TEXT,
         &d.outbox},
        {"at", "begin|end", "reset: where to read usage from (default begin)", TM_OPTION_TEXT, &d.at},
        {"dry-run", NULL, "say what would be done, change nothing", TM_OPTION_FLAG, &d.dry_run},
        {"yes", NULL, "rebuild and reset: yes, remove what is there", TM_OPTION_FLAG, &d.yes},
        {"json", NULL, "one JSON object", TM_OPTION_FLAG, &d.json},
    };
    int code;
    if (!tm_options_parse(command, table, sizeof table / sizeof table[0], argc, argv, &argc, &code))
        return code;
    code = read_arguments(&d, argc, argv);
    tm_setup setup;
    if (code == EX_OK && (code = tm_setup_load(command, &options, &setup)) == EX_OK) {
        tm_shards shards;
        tm_error error;
        tm_status status = tm_shards_open(&setup, &shards, &error);
        code = status == TM_OK ? decide(&d, &shards) : unanswered(&d, status, &error);
        tm_shards_close(&shards);
        tm_setup_done(&setup);
    }
    free(d.plans);
    return code;
}

const tm_command tm_command_shard = {
    .name = "shard",
    .summary = "carry out the choice about a halted shard: resume, rebuild or reset",
    .arguments = "resume|rebuild|reset PARTITION...",
    .text =
        "The processes of the group are stopped first: while it has members nothing is changed. `tidemark doctor` "
        "says\n"
        "which choice a shard needs; the next `tidemark run` takes the shard over as it was left.\n\n"
        "resume   accept the state that is there: the group's offsets are set to it (offsets_moved, offsets_foreign).\n"
        "         Where outputs wait of which nobody knows whether they were published (offsets_expired,\n"
        "         offsets_older), --outbox says what becomes of them.\n"
        "rebuild  remove the shard's state in Redis; the next run makes it again from the journal and the log, up to\n"
        "         where it was published, and publishes nothing twice. Needs --yes.\n"
        "reset    begin anew: the shard's state, its lines in the journal and the group's offsets are removed. "
        "Signals\n"
        "         of conditions that hold are raised again. With --at end the usage of the past is left out, and\n"
        "         windows are null until they are full again. Needs --yes.\n\n"
        "Exit status: 0 done, or nothing had to be; 64 wrong usage; 69 something does not answer; 75 the group has\n"
        "members; 78 this choice does not fit what was found (nothing was changed).",
    .run = run,
};
