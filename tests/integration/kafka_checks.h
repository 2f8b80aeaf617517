/* What the Kafka adapters promise beyond the ports, on a real broker. Included by kafka_adapters_check.c alone. */

static tm_kafka_admin *open_admin(kafka_world *world)
{
    tm_kafka_admin *admin = NULL;
    tm_error error;
    if (tm_kafka_admin_new(&world->configs[0], &admin, &error) != TM_OK) {
        (void)fprintf(stderr, "admin: %s\n", error.what);
        exit(2);
    }
    return admin;
}

/* ---- Topics ---- */

typedef struct findings {
    int fatal, mild;
    char text[1024];
} findings;

static void collect(void *context, bool fatal, const tm_error *finding)
{
    findings *found = context;
    size_t used = strlen(found->text);
    found->fatal += fatal ? 1 : 0;
    found->mild += fatal ? 0 : 1;
    (void)snprintf(found->text + used, sizeof(found->text) - used, "%s: %s; ", finding->where, finding->what);
}

static bool check_topics(const contract_world *port, contract_report *report)
{
    kafka_world *world = port->context;
    tm_kafka_admin *admin = open_admin(world);
    tm_kafka_config *config = &world->configs[0];
    const char *names[] = {world->names[TM_INPUT_USAGE], world->names[TM_INPUT_ACCOUNTS], "is-not-there"};
    const char *journal = config->outputs[TM_TOPIC_JOURNAL];
    char absent[NAME];
    tm_kafka_topic topics[3];
    tm_error error = {{0}, {0}, {0}};
    findings found = {0};
    uint32_t partitions = 0;
    bool passed = false;
    CONTRACT_CHECK(tm_kafka_admin_connect(admin, ASK_MS, &error) == TM_OK, "%s", error.what);
    CONTRACT_CHECK(tm_kafka_admin_describe(admin, names, 3, topics, &error) == TM_OK, "%s", error.what);
    CONTRACT_CHECK(topics[0].present && topics[0].partitions == CONTRACT_PARTITIONS && topics[0].configured &&
                       topics[0].deleted && !topics[0].compacted && topics[0].retention_ms == -1 &&
                       topics[0].retention_bytes == -1 && topics[0].message_max > 100000,
                   "%u %d", topics[0].partitions, topics[0].configured);
    CONTRACT_CHECK(topics[1].compacted && !topics[1].deleted && topics[1].min_compaction_lag_ms == 86400000, "%" PRId64,
                   topics[1].min_compaction_lag_ms);
    CONTRACT_CHECK(!topics[2].present && !topics[2].configured, "present");
    CONTRACT_CHECK(tm_kafka_admin_check(admin, 86400000, false, collect, &found, &partitions, &error) == TM_OK, "%s",
                   found.text);
    CONTRACT_CHECK(partitions == CONTRACT_PARTITIONS && found.fatal == 0 && found.mild == 0, "%s", found.text);
    CONTRACT_CHECK(tm_kafka_admin_check(admin, 86400001, false, collect, &found, &partitions, &error) == TM_OK &&
                       found.mild == 1 && strstr(found.text, "min.compaction.lag.ms") != NULL,
                   "%s", found.text);
    /* An absent journal is made as it has to be; absent outputs and inputs are all named at once. */
    (void)snprintf(absent, sizeof(absent), "%s-new", journal);
    config->outputs[TM_TOPIC_JOURNAL] = absent;
    found = (findings){0};
    CONTRACT_CHECK(tm_kafka_admin_check(admin, 0, false, collect, &found, &partitions, &error) == TM_OK &&
                       found.fatal == 0 && found.mild == 1,
                   "%s", found.text);
    found = (findings){0};
    CONTRACT_CHECK(tm_kafka_admin_check(admin, 0, true, collect, &found, &partitions, &error) == TM_OK &&
                       found.fatal == 0,
                   "%s", found.text);
    names[0] = absent;
    CONTRACT_CHECK(tm_kafka_admin_describe(admin, names, 1, topics, &error) == TM_OK && topics[0].present &&
                       topics[0].partitions == CONTRACT_PARTITIONS && topics[0].retention_ms == -1 &&
                       topics[0].deleted && !topics[0].compacted,
                   "%s", error.what);
    config->outputs[TM_TOPIC_JOURNAL] = world->names[TM_INPUT_ACCOUNTS]; /* compacted: no journal */
    config->outputs[TM_TOPIC_EXPANSION] = "is-not-there";
    config->inputs[TM_INPUT_ACCOUNTS] = world->names[TM_INPUT_USAGE + 2]; /* not compacted */
    found = (findings){0};
    CONTRACT_CHECK(tm_kafka_admin_check(admin, 0, true, collect, &found, &partitions, &error) == TM_REJECT &&
                       found.fatal == 3,
                   "%d: %s", found.fatal, found.text);
    config->inputs[TM_INPUT_USAGE] = "is-not-there-either";
    config->inputs[TM_INPUT_ACCOUNTS] = NULL; /* switched off */
    config->outputs[TM_TOPIC_JOURNAL] = NULL;
    found = (findings){0};
    CONTRACT_CHECK(tm_kafka_admin_check(admin, 0, true, collect, &found, &partitions, &error) == TM_REJECT &&
                       found.fatal == 2 && partitions == 0,
                   "%d: %s", found.fatal, found.text);
    passed = true;
out:
    tm_kafka_admin_free(admin);
    return passed;
}

/* ---- Edges ---- */

static bool check_edges(const contract_world *port, contract_report *report)
{
    kafka_world *world = port->context;
    tm_kafka_admin *admin = open_admin(world);
    tm_kafka_edge edges[CONTRACT_PARTITIONS];
    const char *topic = world->names[TM_INPUT_USAGE];
    tm_error error = {{0}, {0}, {0}};
    bool passed = false;
    static const tm_time times[] = {5000, 9000, 100000, 7000, 99999, 8000};
    CONTRACT_CHECK(tm_kafka_admin_edges(admin, topic, CONTRACT_PARTITIONS, ASK_MS, edges, &error) == TM_OK, "%s",
                   error.what);
    CONTRACT_CHECK(edges[0].first == 0 && edges[0].end == 0 && edges[0].earliest == TM_TIME_NONE &&
                       edges[0].latest == TM_TIME_NONE && edges[0].greatest == TM_TIME_NONE,
                   "an empty partition");
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        CONTRACT_CHECK(append(world, TM_INPUT_USAGE, 0, "k", "v", times[i]) >= 0, "append");
    }
    for (int i = 0; i < 3000; i++) { /* a rising one, and one whose greatest is its first */
        CONTRACT_CHECK(append(world, TM_INPUT_USAGE, 1, "k", "v", 1000 + i) >= 0, "append");
        CONTRACT_CHECK(append(world, TM_INPUT_USAGE, 2, "k", "v", 100000 - i) >= 0, "append");
    }
    CONTRACT_CHECK(rd_kafka_flush(world->producer, ASK_MS) == 0, "flush");
    /* Behind the last record: markers of aborted transactions, whose timestamps are of today, and an open one. */
    for (int i = 0; i < 12; i++) {
        CONTRACT_CHECK(hold(world, TM_INPUT_USAGE, 0, true) && hold(world, TM_INPUT_USAGE, 0, false), "aborted");
    }
    CONTRACT_CHECK(hold(world, TM_INPUT_USAGE, 1, true), "open");
    CONTRACT_CHECK(tm_kafka_admin_edges(admin, topic, CONTRACT_PARTITIONS, 3 * ASK_MS, edges, &error) == TM_OK, "%s",
                   error.what);
    CONTRACT_CHECK(edges[0].end == 6 + 24 && edges[0].earliest == 5000 && edges[0].latest == 8000 &&
                       edges[0].greatest == 100000,
                   "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, edges[0].end, edges[0].earliest, edges[0].latest,
                   edges[0].greatest);
    CONTRACT_CHECK(edges[1].end == 3000 && edges[1].earliest == 1000 && edges[1].latest == 3999 &&
                       edges[1].greatest == 3999,
                   "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64, edges[1].end, edges[1].earliest, edges[1].latest,
                   edges[1].greatest);
    CONTRACT_CHECK(edges[2].earliest == 100000 && edges[2].latest == 97001 && edges[2].greatest == 100000,
                   "%" PRId64 " %" PRId64 " %" PRId64, edges[2].earliest, edges[2].latest, edges[2].greatest);
    CONTRACT_CHECK(tm_kafka_admin_edges(admin, "is-not-there", 1, ASK_MS, edges, &error) == TM_REJECT, "%s",
                   error.what);
    passed = true;
out:
    tm_kafka_admin_free(admin);
    return passed;
}

/* ---- Membership ---- */

/* A second process with the same name takes the partitions over at once, in the same generation; the first one is told
   to leave, and cannot commit. */
static bool check_static_member(const contract_world *port, contract_report *report)
{
    kafka_world *world = port->context;
    publisher_contract_pair first = {0};
    contract_member second = {.start_at_once = true};
    const int32_t partition = 0;
    const tm_position position = {{1, 1}, 1};
    tm_kafka_source *first_source;
    tm_position found;
    int64_t generation;
    tm_status status = TM_OK;
    bool passed = false;
    CONTRACT_CHECK(publisher_contract_open(port, 0, &first), "%s", first.member.error.what);
    first_source = world->sources[0];
    generation = tm_kafka_source_generation(first_source);
    CONTRACT_CHECK(generation >= 1, "generation %" PRId64, generation);
    CONTRACT_CHECK(first.publisher.begin(first.publisher.context, &first.error) == TM_OK, "%s", first.error.what);
    CONTRACT_CHECK(publisher_contract_send(&first, "zombie") == TM_OK, "%s", first.error.what);
    CONTRACT_CHECK(contract_join(&second, make_source(world, 0)) == TM_OK, "%s", second.error.what);
    CONTRACT_CHECK(contract_poll_until_owned(&second, CONTRACT_PARTITIONS), "%s", second.error.what);
    CONTRACT_CHECK(tm_kafka_source_generation(world->sources[0]) == generation, "%" PRId64 " after %" PRId64,
                   tm_kafka_source_generation(world->sources[0]), generation);
    status = first.publisher.commit(first.publisher.context, &partition, &position, 1, &first.error);
    /* TM_REJECT; TM_RETRY when the machine was so slow that the abort is not trusted. Never done. */
    CONTRACT_CHECK(status != TM_OK, "%s", "a replaced member committed");
    (void)printf("   commit of a replaced member: %s: %s\n", tm_status_name(status), first.error.what);
    CONTRACT_CHECK(second.source.committed(second.source.context, &partition, 1, &found, &second.error) == TM_OK &&
                       found.commit == 0,
                   "%s", second.error.what);
    CONTRACT_CHECK(output_count(world, TM_TOPIC_CHURN_RISK, 1) == 0, "the zombie published");
    for (int i = 0; i < CONTRACT_POLLS && status != TM_FATAL; i++) {
        tm_source_record records[8];
        uint32_t count = 0;
        status = first.member.source.poll(first.member.source.context, CONTRACT_WAIT_MS, records, 8, &count,
                                          &first.member.error);
    }
    status = contract_poll(&first.member, 8) < 0 ? TM_FATAL : TM_OK;
    CONTRACT_CHECK(status == TM_FATAL && strstr(first.member.error.what, "fenced") != NULL, "%s",
                   first.member.error.what);
    passed = true;
out:
    publisher_contract_close(&first);
    if (second.source.context != NULL) {
        second.source.leave(second.source.context);
    }
    return passed;
}

/* Whoever comes back under its name within the session gets its partitions back without anybody else's help. */
static bool check_restart(const contract_world *port, contract_report *report)
{
    kafka_world *world = port->context;
    contract_member member = {.start_at_once = true};
    int64_t generation = -1;
    bool passed = false;
    CONTRACT_CHECK(contract_fill(port, 10), "filling");
    for (int i = 0; i < 3; i++) {
        int64_t now;
        member = (contract_member){.start_at_once = true, .from = {2 * i, 3 * i}};
        CONTRACT_CHECK(contract_join(&member, make_source(world, 0)) == TM_OK, "%s", member.error.what);
        CONTRACT_CHECK(contract_poll_until_at(&member, 10), "%s", member.error.what);
        CONTRACT_CHECK(!member.gap && member.count[TM_INPUT_USAGE][1] == 10 - 2 * i, "%" PRId64,
                       member.count[TM_INPUT_USAGE][1]);
        now = tm_kafka_source_generation(world->sources[0]);
        CONTRACT_CHECK(generation < 0 || now == generation, "%" PRId64 " after %" PRId64, now, generation);
        generation = now;
        member.source.leave(member.source.context);
        member.source.context = NULL;
    }
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    return passed;
}

/* ---- What is refused, and what is away ---- */

static bool check_unequal_inputs(const contract_world *port, contract_report *report)
{
    kafka_world *world = port->context;
    contract_member member = {0};
    bool passed = false;
    tm_status status;
    CONTRACT_CHECK(reset_with(world, 3, 2), "reset");
    status = contract_join(&member, make_source(world, 0));
    CONTRACT_CHECK(status == TM_FATAL && strstr(member.error.what, "partitions") != NULL, "%s", member.error.what);
    member.source.leave(member.source.context);
    world->configs[0].inputs[TM_INPUT_ACCOUNTS] = NULL; /* switched off, it does not matter */
    member = (contract_member){0};
    CONTRACT_CHECK(contract_join(&member, make_source(world, 0)) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_poll_until_owned(&member, 3), "%s", member.error.what);
    CONTRACT_CHECK(member.source.start(member.source.context, TM_INPUT_USAGE, 0, 0, &member.error) == TM_OK, "%s",
                   member.error.what);
    CONTRACT_CHECK(member.source.start(member.source.context, TM_INPUT_ACCOUNTS, 0, 0, &member.error) == TM_REJECT,
                   "started what is switched off");
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    return passed;
}

static bool check_offset_gone(const contract_world *port, contract_report *report)
{
    kafka_world *world = port->context;
    contract_member member = {.start_at_once = false};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_DeleteRecords_t *cut = NULL;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(world->producer);
    rd_kafka_event_t *event = NULL;
    int64_t first = -1;
    int64_t end = -1;
    int64_t reached = -1;
    bool passed = false;
    CONTRACT_CHECK(contract_fill(port, 10) && rd_kafka_flush(world->producer, ASK_MS) == 0, "filling");
    rd_kafka_topic_partition_list_add(list, world->names[TM_INPUT_USAGE], 1)->offset = 6;
    cut = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(world->producer, &cut, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, ASK_MS);
    CONTRACT_CHECK(event != NULL && rd_kafka_event_error(event) == 0, "cutting");
    CONTRACT_CHECK(contract_join(&member, make_source(world, 0)) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_poll_until_owned(&member, CONTRACT_PARTITIONS), "%s", member.error.what);
    CONTRACT_CHECK(contract_start(&member, TM_INPUT_USAGE, 1, 2) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_start(&member, TM_INPUT_USAGE, 2, 0) == TM_OK, "%s", member.error.what);
    for (int i = 0; i < CONTRACT_POLLS && member.next[TM_INPUT_USAGE][2] < 10; i++) {
        CONTRACT_CHECK(contract_poll(&member, 8) >= 0, "%s", member.error.what);
    }
    for (int i = 0; i < 20; i++) {
        CONTRACT_CHECK(contract_poll(&member, 8) == 0, "%s", member.error.what);
    }
    CONTRACT_CHECK(member.count[TM_INPUT_USAGE][1] == 0, "%" PRId64 " records from elsewhere",
                   member.count[TM_INPUT_USAGE][1]);
    CONTRACT_CHECK(member.source.bounds(member.source.context, TM_INPUT_USAGE, 1, &first, &end, &reached,
                                        &member.error) == TM_OK &&
                       first == 6 && end == 10 && reached == -1,
                   "%" PRId64 " %" PRId64 " %" PRId64 " %s", first, end, reached, member.error.what);
    CONTRACT_CHECK(contract_start(&member, TM_INPUT_USAGE, 1, 6) == TM_OK, "%s", member.error.what);
    CONTRACT_CHECK(contract_poll_until_drained(&member, TM_INPUT_USAGE, 1), "%s", member.error.what);
    CONTRACT_CHECK(member.count[TM_INPUT_USAGE][1] == 4 && !member.gap, "%" PRId64, member.count[TM_INPUT_USAGE][1]);
    passed = true;
out:
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    if (event != NULL) {
        rd_kafka_event_destroy(event);
    }
    if (cut != NULL) {
        rd_kafka_DeleteRecords_destroy(cut);
    }
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(list);
    return passed;
}

static bool check_nobody_there(const contract_world *port, contract_report *report)
{
    kafka_world *world = port->context;
    contract_member member = {0};
    tm_publisher publisher = {0};
    tm_kafka_admin *admin = NULL;
    tm_error error;
    tm_status status;
    bool passed = false;
    world->configs[0].brokers = "127.0.0.1:1"; /* nobody listens there */
    status = contract_join(&member, make_source(world, 0));
    CONTRACT_CHECK(status == TM_RETRY, "%s: %s", tm_status_name(status), member.error.what);
    publisher = make_publisher(world, 0, &member.source);
    status = publisher.initialise(publisher.context, &error);
    CONTRACT_CHECK(status == TM_RETRY, "%s: %s", tm_status_name(status), error.what);
    status = publisher.begin(publisher.context, &error);
    CONTRACT_CHECK(status == TM_RETRY, "%s: %s", tm_status_name(status), error.what);
    admin = open_admin(world);
    status = tm_kafka_admin_connect(admin, 1500, &error);
    CONTRACT_CHECK(status == TM_RETRY && strstr(error.what, "127.0.0.1:1") != NULL, "%s: %s", tm_status_name(status),
                   error.what);
    passed = true;
out:
    tm_kafka_admin_free(admin);
    if (member.source.context != NULL) {
        member.source.leave(member.source.context);
    }
    if (publisher.context != NULL) {
        publisher.close(publisher.context);
    }
    return passed;
}

/* ---- A broker that goes away and comes back; whoever started this program does that, on demand ---- */

static bool ask(const char *what)
{
    char line[64];
    (void)printf("? %s\n", what);
    (void)fflush(stdout);
    return fgets(line, sizeof(line), stdin) != NULL;
}

static int64_t publish_one(publisher_contract_pair *pair, int64_t commit, tm_status *ret_status)
{
    int64_t begun = steady(NULL);
    const int32_t partition = 0;
    const tm_position position = {{commit, commit}, commit};
    *ret_status = pair->publisher.begin(pair->publisher.context, &pair->error);
    if (*ret_status == TM_OK) {
        *ret_status = publisher_contract_send(pair, "x");
    }
    if (*ret_status == TM_OK) {
        *ret_status = pair->publisher.commit(pair->publisher.context, &partition, &position, 1, &pair->error);
    }
    return steady(NULL) - begun;
}

/* Polls until the status comes, at most 60 s; the longest that one poll took, or -1. */
static int64_t poll_until(contract_member *member, tm_status wanted)
{
    int64_t until = steady(NULL) + 60000;
    int64_t longest = 0;
    for (;;) {
        int64_t begun = steady(NULL);
        tm_status status = contract_poll(member, 64) >= 0 ? TM_OK : TM_RETRY;
        longest = steady(NULL) - begun > longest ? steady(NULL) - begun : longest;
        if (status == wanted) {
            return longest;
        }
        if (steady(NULL) > until) {
            return -1;
        }
    }
}

static bool check_outage(const contract_world *port, contract_report *report)
{
    static const char *const ways[][2] = {{"kill", "start"}, {"freeze", "thaw"}};
    kafka_world *world = port->context;
    publisher_contract_pair pair = {0};
    const int32_t partition = 0;
    tm_position found;
    tm_status status;
    bool passed = false;
    CONTRACT_CHECK(contract_fill(port, 10), "filling");
    CONTRACT_CHECK(publisher_contract_open(port, 0, &pair), "%s %s", pair.member.error.what, pair.error.what);
    CONTRACT_CHECK(contract_poll_until_at(&pair.member, 10), "%s", pair.member.error.what);
    (void)publish_one(&pair, 1, &status);
    CONTRACT_CHECK(status == TM_OK || status == TM_RETRY, "%s", pair.error.what);
    for (int way = 0; way < 2; way++) {
        int64_t first;
        int64_t end;
        int64_t reached;
        int64_t took;
        int64_t number = 10 * (way + 1);
        status = pair.publisher.initialise(pair.publisher.context, &pair.error);
        CONTRACT_CHECK(status == TM_OK, "%s", pair.error.what);
        CONTRACT_CHECK(ask(ways[way][0]), "nobody to ask");
        took = publish_one(&pair, number, &status);
        CONTRACT_CHECK(status == TM_RETRY, "%s: %s", tm_status_name(status), pair.error.what);
        CONTRACT_CHECK(took < 40000, "%" PRId64 " ms", took);
        (void)printf("   %s: publishing gave up after %" PRId64 " ms: %s\n", ways[way][0], took, pair.error.what);
        took = poll_until(&pair.member, TM_RETRY);
        CONTRACT_CHECK(took >= 0 && took < 5000, "%" PRId64 " ms", took);
        (void)printf("   %s: polling says: %s\n", ways[way][0], pair.member.error.what);
        status = pair.member.source.bounds(pair.member.source.context, TM_INPUT_USAGE, 0, &first, &end, &reached,
                                           &pair.member.error);
        CONTRACT_CHECK(status == TM_RETRY, "%s", tm_status_name(status));
        status = pair.publisher.initialise(pair.publisher.context, &pair.error);
        CONTRACT_CHECK(status == TM_RETRY, "%s: %s", tm_status_name(status), pair.error.what);
        CONTRACT_CHECK(ask(ways[way][1]), "nobody to ask");
        took = poll_until(&pair.member, TM_OK);
        CONTRACT_CHECK(took >= 0, "no broker again: %s", pair.member.error.what);
        for (int i = 0; i < 10 && pair.publisher.initialise(pair.publisher.context, &pair.error) != TM_OK; i++) {
            CONTRACT_CHECK(contract_poll(&pair.member, 64) >= -1, "poll");
        }
        CONTRACT_CHECK(contract_poll_until_owned(&pair.member, CONTRACT_PARTITIONS), "%s", pair.member.error.what);
        for (int i = 0; i < 5; i++) { /* rebalanced meanwhile: the group decides when this member may commit */
            (void)publish_one(&pair, number + 1, &status);
            if (status == TM_OK) {
                break;
            }
            (void)pair.publisher.initialise(pair.publisher.context, &pair.error);
            (void)contract_poll(&pair.member, 64);
        }
        for (int p = 0; p < CONTRACT_PARTITIONS; p++) {
            CONTRACT_CHECK(append(world, TM_INPUT_USAGE, p, "k", "late", 1) >= 0, "append");
            CONTRACT_CHECK(append(world, TM_INPUT_ACCOUNTS, p, "k", "late", 1) >= 0, "append");
        }
        CONTRACT_CHECK(rd_kafka_flush(world->producer, 6 * ASK_MS) == 0, "flush");
        CONTRACT_CHECK(contract_poll_until_at(&pair.member, 11 + way) && !pair.member.gap, "%s",
                       pair.member.error.what);
        CONTRACT_CHECK(pair.member.source.committed(pair.member.source.context, &partition, 1, &found, &pair.error) ==
                               TM_OK &&
                           found.commit == number + 1,
                       "%" PRId64 " %s", found.commit, pair.error.what);
    }
    passed = true;
out:
    publisher_contract_close(&pair);
    return passed;
}

static const contract_entry kafka_checks[] = {
    {"kafka describes, checks and makes topics", check_topics},
    {"kafka knows the edges of partitions", check_edges},
    {"kafka replaces a static member", check_static_member},
    {"kafka restarts a static member", check_restart},
    {"kafka refuses unequal inputs", check_unequal_inputs},
    {"kafka stops a partition whose offset is gone", check_offset_gone},
    {"kafka says that nobody is there", check_nobody_there},
    {OUTAGE, check_outage},
};
