/* What probes and scrapers are told, of workers whose gauges are set here. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tidemark/commands/metrics.h"
#include "tidemark/commands/monitor.h"

static int64_t steady_now = 1000000;

static tm_time wall(void *context)
{
    (void)context;
    return 1714660000000;
}

static int64_t steady(void *context)
{
    (void)context;
    return steady_now;
}

static tm_service service;
static tm_service_worker workers[2];
static tm_buffer out;

/* Two workers at work: three shards each. */
static void set_up(void)
{
    static tm_configuration configuration = {.group = "a \"group\"\\\n", .instance = "one", .timezone = "UTC"};
    static tm_setup setup = {.configuration = &configuration};
    static tm_pack pack = {.version = 12, .hash = 0xabc};
    service = (tm_service){.setup = &setup, .clock = {NULL, wall, steady, NULL}, .workers = workers, .worker_count = 2};
    service.settings.pack = &pack;
    for (int i = 0; i < 2; i++) {
        tm_worker_gauges *g = &workers[i].gauges;
        atomic_store(&g->shards, 3);
        atomic_store(&g->beat, steady_now - 40);
        atomic_store(&g->lag, -1);
        atomic_store(&g->time, TM_TIME_NONE);
    }
    tm_buffer_init(&out, 1 << 20);
}

static void tear_down(void)
{
    tm_buffer_done(&out);
}

TestSuite(monitor, .init = set_up, .fini = tear_down);

static void wait_for(int worker, tm_waiting what, const char *why, int64_t since)
{
    tm_worker_gauges *g = &workers[worker].gauges;
    atomic_fetch_or(&g->waiting, 1u << what);
    atomic_store(&g->waiting_since[what], since);
    tm_note_write(&g->waiting_why[what], what == TM_WAITING_STORE ? 5 : -1, tm_slice_of(why));
}

static json_t *told(bool stopping)
{
    tm_buffer_reset(&out);
    tm_monitor_tell(&service, stopping, true, &out);
    json_error_t error;
    json_t *root = json_loadb(out.data, out.length, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(root, "%s: %s", error.text, tm_buffer_text(&out));
    return root;
}

Test(monitor, at_work)
{
    cr_assert(tm_monitor_ready(&service));
    cr_assert(tm_monitor_alive(&service, &out));
    cr_assert_str_eq(tm_buffer_text(&out), "ok\n");
    json_t *root = told(false);
    cr_assert(json_is_true(json_object_get(root, "ready")));
    cr_assert_str_eq(json_string_value(json_object_get(root, "state")), "running");
    cr_assert_eq(json_array_size(json_object_get(root, "workers")), 2);
    cr_assert_eq(json_array_size(json_object_get(root, "halted")), 0);
    json_decref(root);
    root = told(true);
    cr_assert(json_is_false(json_object_get(root, "ready")));
    cr_assert_str_eq(json_string_value(json_object_get(root, "state")), "stopping");
    json_decref(root);
}

Test(monitor, strangers_get_no_details)
{
    wait_for(0, TM_WAITING_STORE, "Redis at secret.example", 0);
    tm_monitor_tell(&service, false, false, &out);
    cr_assert_str_eq(tm_buffer_text(&out), "{\"ready\":false}\n");
}

Test(monitor, while_it_is_prepared)
{
    cr_assert_not(tm_monitor_ready(NULL));
    cr_assert(tm_monitor_alive(NULL, NULL));
    tm_monitor_tell(NULL, false, true, &out);
    cr_assert_str_eq(tm_buffer_text(&out),
                     "{\"ready\":false,\"state\":\"starting\",\"version\":\"" TIDEMARK_VERSION "\"}\n");
    tm_buffer_reset(&out);
    tm_metrics_write(NULL, false, 1714660000000, &out);
    cr_assert_not_null(strstr(tm_buffer_text(&out), "\ntidemark_ready 0\n"));
    cr_assert_not_null(strstr(tm_buffer_text(&out), "\nprocess_start_time_seconds 1714660000\n"));
    cr_assert_null(strstr(tm_buffer_text(&out), "tidemark_records_total"));
}

Test(monitor, each_wait_is_told)
{
    for (int what = 1; what < TM_WAITINGS; what++) {
        atomic_store(&workers[1].gauges.waiting, 0);
        wait_for(1, (tm_waiting)what, "it \"does\" not\nanswer \xff", steady_now - 12345);
        cr_assert_not(tm_monitor_ready(&service), "%s", tm_waiting_name((tm_waiting)what));
        cr_assert(tm_monitor_alive(&service, NULL), "waiting is no reason to restart");
        json_t *root = told(false);
        json_t *waits = json_object_get(json_array_get(json_object_get(root, "workers"), 1), "waiting");
        cr_assert_eq(json_array_size(waits), 1);
        json_t *one = json_array_get(waits, 0);
        cr_assert_str_eq(json_string_value(json_object_get(one, "for")), tm_waiting_name((tm_waiting)what));
        cr_assert_eq(json_integer_value(json_object_get(one, "seconds")), 12);
        cr_assert_str_eq(json_string_value(json_object_get(one, "detail")), "it \"does\" not\nanswer \xef\xbf\xbd");
        cr_assert_eq(json_integer_value(json_object_get(one, "partition")), what == TM_WAITING_STORE ? 5 : 0);
        json_decref(root);
    }
    wait_for(0, TM_WAITING_INPUT, "", steady_now);
    wait_for(0, TM_WAITING_PUBLISHER, "", steady_now);
    json_t *root = told(false);
    json_t *waits = json_object_get(json_array_get(json_object_get(root, "workers"), 0), "waiting");
    cr_assert_eq(json_array_size(waits), 2);
    cr_assert(json_is_null(json_object_get(json_array_get(waits, 0), "detail")));
    json_decref(root);
}

Test(monitor, a_worker_that_has_not_begun_is_not_ready)
{
    atomic_store(&workers[1].gauges.beat, 0);
    cr_assert_not(tm_monitor_ready(&service));
    cr_assert(tm_monitor_alive(&service, NULL));
}

Test(monitor, a_worker_that_hangs)
{
    atomic_store(&workers[1].gauges.beat, steady_now - TM_WORKER_BEAT_MAX);
    cr_assert(tm_monitor_alive(&service, NULL));
    atomic_store(&workers[1].gauges.beat, steady_now - TM_WORKER_BEAT_MAX - 1);
    cr_assert_not(tm_monitor_alive(&service, &out));
    cr_assert_str_eq(tm_buffer_text(&out), "worker 1 has shown no sign of life for 120 s\n");
    cr_assert_not(tm_monitor_ready(&service));
    json_t *root = told(false);
    json_t *one = json_array_get(json_object_get(root, "workers"), 1);
    cr_assert_str_eq(json_string_value(json_object_get(one, "state")), "hanging");
    json_decref(root);
    /* One that came to its end shows no signs any more, and need not. */
    atomic_store(&workers[1].finished, true);
    workers[1].status = TM_OK;
    cr_assert(tm_monitor_alive(&service, NULL));
    workers[1].status = TM_FATAL;
    tm_buffer_reset(&out);
    cr_assert_not(tm_monitor_alive(&service, &out));
    cr_assert_str_eq(tm_buffer_text(&out), "worker 1 ended after an error\n");
    atomic_store(&workers[1].finished, false);
}

Test(monitor, halted_shards)
{
    tm_worker_gauges *g = &workers[0].gauges;
    atomic_store(&g->halted, TM_WORKER_HALTS + 8);
    for (int i = 0; i < TM_WORKER_HALTS; i++) {
        atomic_store(&g->halts[i].partition, 100 + i);
        atomic_store(&g->halts[i].halt, TM_HALT_OFFSETS_MOVED);
        tm_note_write(&g->halts[i].why, 100 + i, TM_SLICE_LITERAL("moved"));
    }
    cr_assert(tm_monitor_ready(&service), "others go on");
    json_t *root = told(false);
    cr_assert_eq(json_array_size(json_object_get(root, "halted")), TM_WORKER_HALTS);
    json_t *last = json_array_get(json_object_get(root, "halted"), TM_WORKER_HALTS - 1);
    cr_assert_eq(json_integer_value(json_object_get(last, "partition")), 100 + TM_WORKER_HALTS - 1);
    cr_assert_str_eq(json_string_value(json_object_get(last, "code")), tm_halt_code(TM_HALT_OFFSETS_MOVED));
    cr_assert_str_eq(json_string_value(json_object_get(last, "reason")), "moved");
    cr_assert_eq(json_integer_value(json_object_get(json_array_get(json_object_get(root, "workers"), 0), "halted")),
                 TM_WORKER_HALTS + 8);
    json_decref(root);
    atomic_store(&workers[0].gauges.shards, 0);
    cr_assert(tm_monitor_ready(&service));
    atomic_store(&workers[1].gauges.shards, 0);
    cr_assert_not(tm_monitor_ready(&service), "every shard is halted");
    tm_metrics_write(&service, false, 0, &out);
    cr_assert_not_null(strstr(tm_buffer_text(&out), "\ntidemark_halted_shards{worker=\"0\"} 40\n"));
    cr_assert_not_null(
        strstr(tm_buffer_text(&out), "\ntidemark_halted{worker=\"0\",partition=\"131\",code=\"offsets_moved\"} 1\n"));
}

Test(monitor, without_shards_it_is_ready)
{
    atomic_store(&workers[0].gauges.shards, 0);
    atomic_store(&workers[1].gauges.shards, 0);
    cr_assert(tm_monitor_ready(&service), "a process more than is needed");
}

Test(monitor, metrics_of_the_gauges)
{
    tm_worker_gauges *g = &workers[1].gauges;
    atomic_store(&g->records, UINT64_C(1) << 52);
    atomic_store(&g->signals[TM_KIND_EXPANSION][TM_SIGNAL_CLEARED], 7);
    atomic_store(&g->open[TM_KIND_ADVISORY], 3);
    atomic_store(&g->lag, 17);
    atomic_store(&g->time, 1714660000000 - 10500);
    atomic_store(&g->commit_times.buckets[0], 2);
    atomic_store(&g->commit_times.buckets[3], 1);
    atomic_store(&g->commit_times.buckets[TM_DURATION_BUCKETS - 1], 4);
    atomic_store(&g->commit_times.sum, 123456);
    wait_for(1, TM_WAITING_STORE, "x", steady_now - 2500);
    tm_metrics_write(&service, true, 0, &out);
    const char *text = tm_buffer_text(&out);
    static const char *const lines[] = {
        "tidemark_ready 1",
        "tidemark_rules_version 12",
        "tidemark_rules_info{hash=\"0000000000000abc\"} 1",
        "tidemark_configuration_info{group=\"a "
        "\\\"group\\\"\\\\\\n\",instance=\"one\",timezone=\"UTC\",hash=\"00000000000000"
        "00\"} 1",
        "tidemark_records_total{worker=\"0\"} 0",
        "tidemark_records_total{worker=\"1\"} 4503599627370496",
        "tidemark_signals_total{worker=\"1\",kind=\"expansion\",state=\"cleared\"} 7",
        "tidemark_open_episodes{worker=\"1\",kind=\"advisory\"} 3",
        "tidemark_lag_records{worker=\"1\"} 17",
        "tidemark_lag_seconds{worker=\"1\"} 10.5",
        "tidemark_stream_time_seconds{worker=\"1\"} 1714659989.5",
        "tidemark_waiting{worker=\"0\",for=\"store\"} 0",
        "tidemark_waiting{worker=\"1\",for=\"store\"} 1",
        "tidemark_waiting{worker=\"1\",for=\"publisher\"} 0",
        "tidemark_waiting_seconds{worker=\"1\",for=\"store\"} 2.5",
        "tidemark_heartbeat_age_seconds{worker=\"0\"} 0.04",
        "tidemark_commit_seconds_bucket{worker=\"1\",le=\"0.005\"} 2",
        "tidemark_commit_seconds_bucket{worker=\"1\",le=\"0.025\"} 2",
        "tidemark_commit_seconds_bucket{worker=\"1\",le=\"0.05\"} 3",
        "tidemark_commit_seconds_bucket{worker=\"1\",le=\"30\"} 3",
        "tidemark_commit_seconds_bucket{worker=\"1\",le=\"+Inf\"} 7",
        "tidemark_commit_seconds_sum{worker=\"1\"} 123.456",
        "tidemark_commit_seconds_count{worker=\"1\"} 7",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char line[200];
        snprintf(line, sizeof line, "\n%s\n", lines[i]);
        cr_assert_not_null(strstr(text, line), "%s in\n%s", lines[i], text);
    }
    cr_assert_null(strstr(text, "tidemark_lag_records{worker=\"0\"}"), "not known");
    cr_assert_null(strstr(text, "tidemark_lag_seconds{worker=\"0\"}"), "no time yet");
}

Test(monitor, an_address_in_use_ends_the_start)
{
    /* Nothing is listened on where nothing is configured. */
    tm_configuration off = {0};
    tm_monitor monitor;
    tm_command command = {.name = "run"};
    cr_assert_eq(tm_monitor_start(&monitor, &command, &off, NULL), 0);
    cr_assert_null(monitor.server);
    tm_monitor_stop(&monitor);
}
