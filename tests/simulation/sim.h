/* A whole deployment in one thread: processes with workers, a broker, a store, clocks, and faults; all of it from one
   seed. Each worker is the real tm_worker_run on a stack of its own; each call of a port is a place where time passes,
   where another may go on, and where a fault may strike.

   random.h    numbers                         schedule.c  time, stacks, who goes on
   world.c     all that a seed says            process.c   processes, clock, log
   broker.c    inputs, group, transactions     feed.c      what customers do
   source.c    port `source`                   packs.c     the rules
   output.c    ports `publisher`, `journal`    meaning.c, model.c   the brute-force judge of signals
   store.c     store and port `store`          judge.c     compares what came out
   faults.c    the list of faults              main.c      seeds, batches, shrinking */
#ifndef TIDEMARK_TESTS_SIMULATION_SIM_H
#define TIDEMARK_TESTS_SIMULATION_SIM_H

#include <stdio.h>
#include <ucontext.h>

#include "random.h"
#include "tidemark/pipeline/worker.h"
#include "tidemark/rules/packfile.h"

enum {
    SIM_PARTITIONS = 4,
    SIM_ACCOUNTS = 12,
    SIM_PROCESSES = 4,
    SIM_EACH = 2, /* workers a process */
    SIM_FAULTS = 24,
    SIM_SHARDS = 48,
    SIM_LIVES = 128, /* runs of a worker, over all */
    SIM_SESSION = 6000,
    SIM_TRANSACTION = 10000,
    SIM_REACH = 8, /* rules a pack at most */
};

#define SIM_START INT64_C(1710028800000) /* 2024-03-10T00:00:00Z, the counting start */

typedef struct sim sim;
typedef struct sim_life sim_life;

/* ---- Faults ---- */

typedef enum sim_op {
    SIM_JOIN,
    SIM_POLL,
    SIM_START_LANE,
    SIM_PAUSE_LANE,
    SIM_BOUNDS,
    SIM_COMMITTED,
    SIM_LEAVE,
    SIM_CLAIM,
    SIM_READ,
    SIM_COMMIT,
    SIM_EXECUTE, /* second half of a commit */
    SIM_SCAN,
    SIM_SETTLE_GROUP,
    SIM_INITIALISE,
    SIM_BEGIN,
    SIM_SEND,
    SIM_OFFSETS, /* the offsets into the transaction */
    SIM_END,     /* the end of a transaction */
    SIM_ABORT,
    SIM_JOURNAL_OPEN,
    SIM_JOURNAL_NEXT,
    SIM_SLEEP,
    SIM_OPS
} sim_op;

typedef enum sim_fault_kind {
    SIM_CRASH,       /* at a call: the process is gone; with `after`, once the call had its effect */
    SIM_HANG,        /* at a call: the process stands still for `length` ms */
    SIM_LOST,        /* at a call: no effect, no answer */
    SIM_UNANSWERED,  /* at a call: the effect, no answer */
    SIM_LATE,        /* at a call: no answer, and the effect `length` ms later */
    SIM_DOUBLED,     /* at a call: the effect, no answer, and the same request again `length` ms later */
    SIM_STORE_DOWN,  /* at a time, for `length` ms */
    SIM_BROKER_DOWN, /* the same */
    SIM_CUT,         /* one process does not reach the broker */
    SIM_CUT_STORE,   /* one process does not reach the store */
    SIM_SLOW,        /* everything takes up to a hundred times as long */
    SIM_ENTER,       /* another process starts */
    SIM_QUIT,        /* a process stops as it is asked to, and comes back after `length` */
    SIM_EXPEL,       /* the group throws a member out */
    SIM_CLOCK,       /* the wall clock of a process (or of all) jumps */
    SIM_STALE,       /* the store goes back to what it was `length` ms before */
    SIM_EMPTIED,     /* the store is empty */
    SIM_EXPIRED,     /* all processes die, the group's offsets are forgotten, all start again */
    SIM_TWIN,        /* another process starts under a name that is in use; the first is not started again */
    SIM_RELOAD,      /* all processes get the second version of the rules */
    SIM_UPSTREAM,    /* a producer's transaction is open in an input for `length` ms */
    SIM_NODE_DOWN,   /* the store does not answer for one shard, as when its slot of a cluster moves */
    SIM_FOREIGN,     /* a commit is written and not published, the store is emptied, and as soon as another commit is
                        published under its number, the store as it was then comes back */
    SIM_FAULT_KINDS
} sim_fault_kind;

typedef struct sim_fault {
    sim_fault_kind kind;
    int64_t at;     /* ms of the simulation: from then on (at a call), or exactly then */
    int64_t length; /* ms */
    int64_t back;   /* ms until a crashed process starts again */
    int op;         /* at a call: which, or -1 for any */
    int skip;       /* … so many of them pass first */
    int process;    /* which one; -1: all, or any */
    int partition, input;
    int64_t delta;
    bool after;   /* crash: after the effect */
    bool renamed; /* crash: the new process has a name of its own */
    bool over;    /* it happened */
} sim_fault;

/* What becomes of a call. */
typedef enum sim_fate {
    SIM_FINE,
    SIM_DEAD,      /* the process is gone: no effect, failure */
    SIM_FAILS,     /* no effect, failure */
    SIM_NO_ANSWER, /* effect, failure */
    SIM_COMES_LATE,
    SIM_TWICE,
    SIM_DIES /* effect, then the process is gone */
} sim_fate;

/* ---- The input ---- */

typedef enum sim_kind { SIM_EVENT, SIM_FACTS, SIM_ERASE, SIM_BROKEN, SIM_HIDDEN } sim_kind;

/* A record with what it says: the judge reads this and not the bytes. */
typedef struct sim_record {
    tm_input input;
    int32_t partition;
    int64_t offset;
    tm_time timestamp;
    int64_t arrived; /* ms of the simulation */
    tm_slice key, value;
    sim_kind kind;
    int account; /* number; -1: none */
    int name, user, id;
    tm_time at;
    int value_of; /* of an event; -1: none */
    int seats, tier, status;
    const char *reason; /* of a broken one: what the dead letter has to say */
} sim_record;

typedef struct sim_log {
    sim_record **items;
    int64_t count, capacity;
    int64_t held;  /* offset of an open upstream transaction; -1: none */
    uint64_t hold; /* which */
} sim_log;

/* ---- The output ---- */

typedef struct sim_output {
    tm_topic topic;
    int32_t partition;
    tm_slice key, value;
    tm_time timestamp;
    tm_slice headers; /* as "name=value,…", in a bare world only */
} sim_output;

typedef struct sim_outputs {
    sim_output *items;
    uint32_t count, capacity;
} sim_outputs;

/* A journal line of a commit, as the judge reads it. */
typedef struct sim_line {
    int64_t n, epoch;
    int64_t from[TM_INPUTS], to[TM_INPUTS];
    tm_time clock_begin, clock_end, t_before, t_after;
    bool drained, judged;
    int64_t rules; /* version */
    uint32_t signals, erasures;
} sim_line;

/* ---- The broker ---- */

typedef struct sim_member {
    sim_life *life;
    int instance; /* static membership */
    bool inside, waiting, untold, fenced;
    bool told; /* has an assignment, be it empty */
    int64_t generation;
    uint32_t assignment, owned;              /* bits of partitions */
    int64_t silent;                          /* ms since when nothing is heard of it; -1: it is alive */
    int64_t next[TM_INPUTS][SIM_PARTITIONS]; /* -1: not started */
    bool paused[TM_INPUTS][SIM_PARTITIONS];
} sim_member;

typedef struct sim_producer {
    int64_t epoch;
    bool open, timed_out; /* the last bump was the broker's own */
    int64_t opened;
    uint64_t serial; /* of the open transaction */
    sim_outputs staged;
    bool has_offsets[SIM_PARTITIONS];
    tm_position offsets[SIM_PARTITIONS];
} sim_producer;

/* ---- The store ---- */

typedef struct sim_kept {
    int64_t commit;
    tm_slice bytes;
} sim_kept;

typedef struct sim_kepts {
    sim_kept *items;
    uint32_t first, count, capacity;
} sim_kepts;

typedef struct sim_kept_account {
    tm_slice key, blob;
} sim_kept_account;

typedef struct sim_shard {
    bool claimed, present;
    bool returned; /* with the whole store, and nobody has claimed it, or written to it, since */
    tm_position position;
    int64_t epoch, generation;
    uint64_t version;        /* changes whenever anything is written: what WATCH sees */
    const sim_life *claimer; /* the last */
    tm_time time;            /* T, as the journal's last line says; TM_TIME_NONE: not known */
    tm_slice meta;
    sim_kept_account *accounts;
    uint32_t account_count, account_capacity;
    sim_kepts fingerprints, outbox;
} sim_shard;

typedef struct sim_value {
    char name[68];
    int64_t value;
} sim_value;

typedef struct sim_store {
    sim_shard shards[SIM_SHARDS];
    sim_value values[4]; /* of the group */
    uint32_t value_count;
} sim_store;

/* ---- Workers and processes ---- */

typedef struct sim_process {
    int number;
    int instance; /* of its first worker is instance * SIM_EACH */
    bool up;
    int64_t frozen_until;
    int64_t offset; /* of its wall clock */
    int64_t cut_until, store_cut_until;
    atomic_bool stop;
    uint32_t lives; /* still running */
    sim_life *life[SIM_EACH];
    int64_t back; /* when it is stopped: ms until it starts again; -1: never */
    int64_t born;
} sim_process;

/* One run of a worker. */
struct sim_life {
    sim *s;
    int number;
    int slot;
    sim_process *process;
    ucontext_t context;
    bool started, finished, dead;
    int64_t wake;
    bool polling; /* sleeps in poll: what happens wakes it */
    int64_t fake; /* the clock of a dead process */
    sim_member member;
    tm_source_listener listener;
    bool joined;
    const sim_life *group_of; /* whose membership its transactions go by: its own but in the contract tests */
    bool judged;              /* the invariants are looked after: not in the contract tests */
    int producer;             /* the id it publishes under */
    int64_t producer_epoch;
    bool begun; /* a transaction, on this side */
    bool in_doubt[SIM_SHARDS];
    int64_t tried[SIM_PARTITIONS]; /* the commit that was tried last */
    bool wrote[SIM_PARTITIONS];    /* this life was the last to commit */
    int64_t trouble_at;            /* when a call of it last failed */
    /* Of each input when this life last committed or claimed: the offset after the last record to be seen, and which
       upstream transaction was open (0: none). */
    int64_t seen_end[TM_INPUTS][SIM_PARTITIONS];
    uint64_t seen_hold[TM_INPUTS][SIM_PARTITIONS];
    int32_t journal_partition;
    uint32_t journal_at, journal_end;
    tm_worker_ports ports;
    tm_worker_gauges gauges;
    uint32_t halts;
    tm_pipeline_settings settings;
    tm_status status;
    tm_error error;
};

/* ---- Events of the world ---- */

typedef enum sim_event_kind {
    SIM_HAPPENS_FAULT,
    SIM_HAPPENS_RECORD,
    SIM_HAPPENS_BIRTH,     /* process a */
    SIM_HAPPENS_SILENCE,   /* life a has been silent since b */
    SIM_HAPPENS_REBALANCE, /* the deadline of generation b */
    SIM_HAPPENS_TIMEOUT,   /* transaction b of producer a */
    SIM_HAPPENS_GHOST,     /* the end of a transaction of producer a at epoch b */
    SIM_HAPPENS_EXECUTE,   /* a late EXEC */
    SIM_HAPPENS_RELEASE,   /* the upstream transaction of input a, partition b ends */
    SIM_HAPPENS_SNAPSHOT,  /* of the store, for fault a */
    SIM_HAPPENS_RETURN,    /* of the store that was given up */
    SIM_HAPPENS_OPERATOR,  /* somebody looks at halted shard a */
    SIM_HAPPENS_THAW       /* process a goes on */
} sim_event_kind;

typedef struct sim_event {
    int64_t at;
    uint64_t order;
    sim_event_kind kind;
    int64_t a, b;
    void *with;
} sim_event;

/* ---- The whole ---- */

typedef struct sim_rules sim_rules;

struct sim {
    uint64_t seed;
    sim_random schedule;       /* who goes on and how long things take */
    const sim_rules *rules[2]; /* before and after a reload */
    const tm_pack *packs[2];
    _Atomic(const tm_pack *) reloaded;
    tm_mapping *mapping;
    FILE *trace;
    bool failed;
    char failure[1600];
    uint64_t hash;
    uint64_t calls;

    /* memory of one run */
    char *arena_at, *arena_end;

    /* time */
    int64_t now;
    tm_time base;
    int64_t length; /* faults and records end here */
    bool quiet;     /* no faults any more */
    bool stopping;  /* everything was well, all processes were asked to stop */
    char unsettled[200];
    sim_event *events;
    uint32_t event_count, event_capacity;
    uint64_t event_order;
    int64_t grain;            /* ms: the wall clock shows multiples of it */
    int64_t latency, stretch; /* ms: calls take up to; idle polls take up to */
    int64_t slow_until;
    ucontext_t main;
    sim_life *current;

    /* faults */
    sim_fault faults[SIM_FAULTS];
    uint32_t fault_count;
    uint64_t dropped;        /* bits of faults that are left out (shrinking) */
    bool store_lost;         /* the store lost something: C may be ahead */
    uint32_t losses;         /* how often */
    bool to_give_up;         /* after the next commit (SIM_FOREIGN) */
    sim_store *given_up;     /* the store as it was then */
    tm_position given_up_at; /* … and where its shard was: */
    int32_t given_up_shard;
    sim_store *snapshots[SIM_FAULTS];

    /* deployment */
    uint32_t partitions;
    int accounts;
    tm_pipeline_settings settings;
    int settings_workers; /* a process */
    sim_process processes[SIM_PROCESSES];
    uint32_t process_count;
    int instances; /* given out */
    sim_life *lives[SIM_LIVES];
    uint32_t life_count;

    /* broker */
    sim_log inputs[TM_INPUTS][SIM_PARTITIONS];
    sim_outputs outputs[TM_TOPICS]; /* in the order of their commit */
    sim_producer producers[SIM_LIVES];
    tm_position committed[SIM_PARTITIONS]; /* as the group knows them */
    tm_position known[SIM_PARTITIONS];     /* as they were last, also where the group forgot them */
    int64_t generation;
    bool rebalancing;
    int64_t rebalance_timeout;
    int64_t broker_down_until, store_down_until, node_down_until[SIM_PARTITIONS];
    uint64_t serials;

    /* store */
    sim_store store;
    uint64_t versions;

    /* figures */
    uint64_t commits, publications, records, signals, crashes, rebuilt;
};

/* ---- schedule.c, process.c, world.c ---- */
void *sim_take(sim *s, size_t size); /* zeroed memory of this run; never NULL */
tm_slice sim_copy(sim *s, tm_slice bytes);
void sim_fail(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_note(sim *s, const char *format, ...) __attribute__((format(printf, 2, 3))); /* into the trace */
void sim_mix(sim *s, uint64_t value);                                                 /* into the hash */
sim_event *sim_at(sim *s, int64_t at, sim_event_kind kind, int64_t a, int64_t b, void *with);
tm_time sim_wall(const sim *s, const sim_process *process);
/* A call begins: time passes, others go on, a fault may strike. */
sim_fate sim_call(sim_life *life, sim_op op, int64_t partition, int64_t *ret_length);
/* Time passes inside a call. False: the process is gone. */
bool sim_pass(sim_life *life, int64_t ms);
void sim_sleep_polling(sim_life *life, int64_t until);
void sim_wake(sim *s, sim_life *life);
void sim_start_process(sim *s, sim_process *process);
void sim_crash(sim *s, sim_process *process, int64_t back, bool renamed);
void sim_freeze(sim *s, sim_process *process, int64_t ms);
void sim_thaw(sim *s, sim_process *process, int64_t born);
void sim_ended(sim *s, sim_life *life);
void sim_to_life(sim *s, sim_life *life);
sim_event sim_pop_event(sim *s);
void sim_run(sim *s);
/* The world of one seed, until the next is made; `trace` may be NULL. */
sim *sim_new(uint64_t seed, uint64_t dropped, FILE *trace);
/* A world without processes, records and faults, for one thread that calls ports: the contract tests. */
sim *sim_bare(uint32_t partitions);
sim_life *sim_bare_life(sim *s, int instance);
void sim_happen(sim *s, sim_event event);
void sim_end(void); /* what all worlds shared is freed */
const char *sim_op_name(int op);

/* ---- broker.c ---- */
int64_t sim_stable_end(const sim_log *log);
sim_log *sim_input(sim *s, tm_input input, int32_t partition);
void sim_append(sim *s, sim_record *record);
void sim_hold(sim *s, tm_input input, int32_t partition, int64_t until);
void sim_release_hold(sim *s, tm_input input, int32_t partition);
bool sim_reaches_broker(const sim *s, const sim_life *life);
void sim_group_join(sim_life *life);
void sim_group_expel(sim *s, sim_member *member);
void sim_group_wait(sim_life *life);
void sim_group_deadline(sim *s, int64_t generation);
void sim_silent(sim *s, sim_member *member);
void sim_group_silence(sim *s, sim_life *life, int64_t since);
void sim_transaction_abort(sim *s, sim_producer *producer);
void sim_transaction_commit(sim *s, int producer);
void sim_transaction_timeout(sim *s, int producer, uint64_t serial);
void sim_outputs_add(sim *s, sim_outputs *list, const sim_output *output);

/* ---- source.c, output.c, store.c ---- */
tm_source sim_source_port(sim_life *life);
int64_t sim_source_generation(void *context);
tm_publisher sim_publisher_port(sim_life *life);
tm_journal_source sim_journal_port(sim_life *life);
tm_store sim_store_port(sim_life *life);
void sim_store_late(sim *s, void *with);
void sim_store_emptied(sim *s);
void sim_store_remove(sim *s, int32_t partition);
sim_store *sim_store_snapshot(sim *s);
void sim_store_restore(sim *s, const sim_store *from);
bool sim_line_read(tm_slice text, sim_line *ret_line);
/* The value of an output as the outbox keeps it, when it is one of the journal. */
bool sim_outbox_journal(tm_slice bytes, tm_slice *ret_value);
/* A number after `name`, as in "name":123; null is TM_TIME_NONE. Moves *at behind it. False: not there. */
bool sim_read_number(const char **at, const char *end, const char *name, int64_t *ret_value);
/* The offset after the last record of a log that a reader sees now. */
int64_t sim_visible_end(const sim_log *log);

/* ---- faults.c ---- */
void sim_faults_draw(sim *s, sim_random *random);
/* From here on only faults of these kinds are drawn: names as sim_fault_text has them, separated by commas. False: one
   is not known. */
bool sim_faults_only(const char *names);
void sim_fault_text(const sim_fault *fault, char *text, size_t size);
void sim_fault_happens(sim *s, sim_fault *fault);
/* The fault that strikes this call; NULL: none. */
sim_fault *sim_fault_at_call(sim *s, const sim_life *life, sim_op op, int64_t partition);
void sim_operator(sim *s, int32_t partition, sim_life *life);
void sim_give_up(sim *s, int32_t partition);
void sim_return(sim *s);

/* ---- feed.c ---- */
void sim_feed(sim *s, sim_random *random);

/* ---- packs.c ---- */
enum { SIM_PACKS = 3 };
const sim_rules *sim_pack(int number, int version);
const char *sim_pack_text(int number, int version);
const char *sim_event_name(int name);
const char *sim_tier_name(int tier);     /* NULL: none */
const char *sim_status_name(int status); /* NULL: none */

/* ---- judge.c ---- */
void sim_judge(sim *s);
void sim_judge_end(void);
/* True when everything is read, published and well. */
bool sim_settled(sim *s);

#endif
