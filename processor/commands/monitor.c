#include "tidemark/commands/monitor.h"

#include <sysexits.h>

#include "tidemark/adapters/system/clock.h"
#include "tidemark/commands/metrics.h"

/* --- alive --- */

static int64_t silence_of(const tm_service *service, const tm_service_worker *w)
{
    int64_t beat = atomic_load(&w->gauges.beat);
    return beat == 0 ? 0 : service->clock.steady(service->clock.context) - beat;
}

/* A worker that ended by an error while the others go on: its shards are nobody's here. */
static bool has_failed(const tm_service_worker *w)
{
    return atomic_load(&w->finished) && w->status != TM_OK;
}

static bool hangs(const tm_service *service, const tm_service_worker *w)
{
    return !atomic_load(&w->finished) && silence_of(service, w) > TM_WORKER_BEAT_MAX;
}

bool tm_monitor_alive(const tm_service *service, tm_buffer *out)
{
    for (uint32_t i = 0; service && i < service->worker_count; i++) {
        const tm_service_worker *w = &service->workers[i];
        bool failed = has_failed(w);
        if (!failed && !hangs(service, w))
            continue;
        if (out && failed)
            tm_buffer_append_format(out, "worker %u ended after an error\n", i);
        else if (out)
            tm_buffer_append_format(out, "worker %u has shown no sign of life for %lld s\n", i,
                                    (long long)(silence_of(service, w) / 1000));
        return false;
    }
    if (out)
        tm_buffer_append_text(out, "ok\n");
    return true;
}

/* --- ready --- */

bool tm_monitor_ready(const tm_service *service)
{
    uint32_t shards = 0, halted = 0;
    if (!service || !tm_monitor_alive(service, NULL))
        return false;
    for (uint32_t i = 0; i < service->worker_count; i++) {
        const tm_service_worker *w = &service->workers[i];
        if (atomic_load(&w->gauges.waiting) != 0 || atomic_load(&w->gauges.beat) == 0)
            return false;
        shards += atomic_load(&w->gauges.shards);
        halted += atomic_load(&w->gauges.halted);
    }
    return halted == 0 || shards > 0;
}

static void tell_waits(const tm_service *service, const tm_service_worker *w, tm_buffer *out)
{
    uint32_t waiting = atomic_load(&w->gauges.waiting);
    const char *separator = "";
    tm_buffer_append_text(out, "\"waiting\":[");
    for (int what = 1; what < TM_WAITINGS; what++) {
        char why[TM_NOTE_MAX];
        int64_t partition;
        if (!(waiting & 1u << what))
            continue;
        (void)tm_note_read(&w->gauges.waiting_why[what], &partition, why);
        int64_t since = service->clock.steady(service->clock.context) - atomic_load(&w->gauges.waiting_since[what]);
        tm_buffer_append_format(out, "%s{\"for\":\"%s\",\"seconds\":%lld,\"detail\":", separator,
                                tm_waiting_name((tm_waiting)what), (long long)(since / 1000));
        tm_buffer_append_json_string(out, why[0] ? tm_slice_of(why) : (tm_slice){0});
        if (partition >= 0)
            tm_buffer_append_format(out, ",\"partition\":%lld", (long long)partition);
        tm_buffer_append_text(out, "}");
        separator = ",";
    }
    tm_buffer_append_text(out, "]");
}

static void tell_workers(const tm_service *service, tm_buffer *out)
{
    tm_buffer_append_text(out, ",\"workers\":[");
    for (uint32_t i = 0; i < service->worker_count; i++) {
        const tm_service_worker *w = &service->workers[i];
        const char *state = has_failed(w)               ? "failed"
                            : atomic_load(&w->finished) ? "ended"
                            : hangs(service, w)         ? "hanging"
                                                        : "running";
        tm_buffer_append_format(out, "%s{\"worker\":%u,\"state\":\"%s\",\"shards\":%u,\"halted\":%u,", i ? "," : "", i,
                                state, atomic_load(&w->gauges.shards), atomic_load(&w->gauges.halted));
        tell_waits(service, w, out);
        tm_buffer_append_text(out, "}");
    }
    tm_buffer_append_text(out, "]");
}

/* The first TM_WORKER_HALTS of each worker; the workers' counts have all. */
static void tell_halts(const tm_service *service, tm_buffer *out)
{
    const char *separator = "";
    tm_buffer_append_text(out, ",\"halted\":[");
    for (uint32_t i = 0; i < service->worker_count; i++) {
        const tm_worker_gauges *g = &service->workers[i].gauges;
        uint32_t count = atomic_load(&g->halted);
        for (uint32_t k = 0; k < count && k < TM_WORKER_HALTS; k++) {
            char why[TM_NOTE_MAX];
            (void)tm_note_read(&g->halts[k].why, NULL, why);
            tm_buffer_append_format(out, "%s{\"partition\":%d,\"code\":\"%s\",\"reason\":", separator,
                                    atomic_load(&g->halts[k].partition),
                                    tm_halt_code((tm_halt)atomic_load(&g->halts[k].halt)));
            tm_buffer_append_json_string(out, tm_slice_of(why));
            tm_buffer_append_text(out, "}");
            separator = ",";
        }
    }
    tm_buffer_append_text(out, "]");
}

void tm_monitor_tell(const tm_service *service, bool stopping, bool trusted, tm_buffer *out)
{
    bool ready = !stopping && tm_monitor_ready(service);
    tm_buffer_append_format(out, "{\"ready\":%s", ready ? "true" : "false");
    if (trusted) {
        tm_buffer_append_format(out, ",\"state\":\"%s\",\"version\":\"" TIDEMARK_VERSION "\"",
                                stopping  ? "stopping"
                                : service ? "running"
                                          : "starting");
        if (service) {
            tell_workers(service, out);
            tell_halts(service, out);
        }
    }
    tm_buffer_append_text(out, "}\n");
}

/* --- over HTTP --- */

static void serve_livez(void *context, bool trusted, tm_http_answer *answer)
{
    tm_monitor *monitor = context;
    (void)trusted;
    if (!tm_monitor_alive(atomic_load(&monitor->service), &answer->body))
        answer->status = 503;
}

static void serve_readyz(void *context, bool trusted, tm_http_answer *answer)
{
    tm_monitor *monitor = context;
    const tm_service *service = atomic_load(&monitor->service);
    bool stopping = atomic_load(&monitor->stopping);
    answer->content_type = "application/json";
    tm_monitor_tell(service, stopping, trusted, &answer->body);
    if (!tm_slice_has_prefix(tm_buffer_slice(&answer->body), TM_SLICE_LITERAL("{\"ready\":true")))
        answer->status = 503;
}

static void serve_metrics(void *context, bool trusted, tm_http_answer *answer)
{
    tm_monitor *monitor = context;
    const tm_service *service = atomic_load(&monitor->service);
    (void)trusted;
    answer->content_type = "text/plain; version=0.0.4; charset=utf-8";
    tm_metrics_write(service, !atomic_load(&monitor->stopping) && tm_monitor_ready(service), monitor->started,
                     &answer->body);
}

int tm_monitor_start(tm_monitor *monitor, const tm_command *command, const tm_configuration *configuration,
                     const tm_log *log)
{
    const tm_clock clock = tm_system_clock();
    *monitor = (tm_monitor){.started = clock.wall(clock.context)};
    if (!configuration->http_listen)
        return 0;
    monitor->routes[0] = (tm_http_route){"/livez", true, serve_livez, monitor};
    monitor->routes[1] = (tm_http_route){"/readyz", true, serve_readyz, monitor};
    monitor->routes[2] = (tm_http_route){"/metrics", false, serve_metrics, monitor};
    tm_http_options options = {.address = configuration->http_listen,
                               .token = configuration->http_token,
                               .routes = monitor->routes,
                               .route_count = TM_MONITOR_ROUTES};
    tm_error error;
    tm_status status = tm_http_server_start(&options, &monitor->server, &error);
    if (status == TM_OK) {
        tm_log_field fields[] = {tm_log_text("address", configuration->http_listen),
                                 tm_log_integer("port", tm_http_server_port(monitor->server)),
                                 tm_log_text("token", configuration->http_token.data ? "needed" : "none")};
        log->write(log->context, TM_LOG_INFO, "listening", "HTTP is answered: /livez, /readyz, /metrics", fields, 3);
        return 0;
    }
    tm_error_where(&error, "http.listen");
    if (error.hint[0] == 0)
        tm_error_hint(&error, "give each process of a machine a port of its own, or write `listen: off`");
    int code = tm_cli_fail(command, status, &error);
    return status == TM_REJECT ? EX_CONFIG : code;
}

void tm_monitor_show(tm_monitor *monitor, const tm_service *service)
{
    atomic_store(&monitor->service, service);
}

void tm_monitor_leave(tm_monitor *monitor)
{
    atomic_store(&monitor->stopping, true);
}

void tm_monitor_stop(tm_monitor *monitor)
{
    tm_http_server_stop(monitor->server);
    monitor->server = NULL;
}
