/* The hot path without Kafka and Redis: decode, apply, judge, encode state. Counts allocations and times each part.

     bench_steady RULES [ACCOUNTS [EVENTS_A_DAY [DAYS]]]

   Half of the days warm up; the other half is counted. Accounts and users stay the same, as in steady state; the state
   of every changed account is encoded after each 100,000 events, as a commit would. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tidemark/codec/event.h"
#include "tidemark/codec/state.h"
#include "tidemark/core/shard.h"
#include "tidemark/rules/packfile.h"

/* Every call of the allocator in this process, whoever makes it. */
static unsigned long long allocations;
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *block, size_t size);
void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}
void *realloc(void *block, size_t size)
{
    allocations++;
    return __libc_realloc(block, size);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static const char *const names[] = {"session_started", "record_created", "record_edited",    "report_viewed",
                                    "search_run",      "export_run",     "dashboard_viewed", "comment_added"};

static int write_event(char text[512], uint64_t number, uint64_t accounts, tm_time at)
{
    uint64_t z = mixed(number + 1);
    char when[TM_TIME_TEXT];
    tm_time_format(at, when);
    return snprintf(text, 512,
                    "{\"id\":\"0190c3a2-%012llx\",\"account\":\"account-%07llu\",\"event\":\"%s\",\"at\":\"%s\","
                    "\"user\":\"u%llu@example.com\","
                    "\"source\":\"web\",\"properties\":{\"ok\":true,\"feature\":\"insight\",\"ms\":%llu,\"page\":\"/"
                    "app/reports/%llu\","
                    "\"browser\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"session\":\"%016llx\",\"plan\":\"business\"}}",
                    (unsigned long long)number, (unsigned long long)(z % accounts), names[(z >> 20) % 8], when,
                    (unsigned long long)((z >> 32) % 12), (unsigned long long)((z >> 44) % 900),
                    (unsigned long long)(z >> 50), (unsigned long long)z);
}

static tm_pack *read_pack(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text, file) : 0;
    if (file)
        fclose(file);
    tm_pack *pack = NULL;
    tm_error error;
    if (length == 0 || tm_packfile_parse((tm_slice){text, length}, path, NULL, &pack, &error) != TM_OK) {
        fprintf(stderr, "%s: %s\n", path, length ? error.what : "cannot be read");
        exit(66);
    }
    return pack;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: bench_steady RULES [ACCOUNTS [EVENTS_A_DAY [DAYS]]]\n");
        return 64;
    }
    uint64_t accounts = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
    uint64_t a_day = argc > 3 ? strtoull(argv[3], NULL, 10) : 100000;
    uint64_t days = argc > 4 ? strtoull(argv[4], NULL, 10) : 80;
    tm_pack *pack = read_pack(argv[1]);
    tm_shard_settings settings = {.zone = tm_zone_utc(),
                                  .evaluate_every = TM_MINUTE,
                                  .max_skew = -1,
                                  .dedup_window = TM_HOUR,
                                  .dedup_entries = TM_DEDUP_ENTRIES_DEFAULT};
    tm_shard *shard = tm_shard_new(&settings, pack, TM_TIME_NONE, NULL, 0);
    tm_mapping *mapping = tm_mapping_native();
    tm_event_options options = {
        .mapping = mapping, .user_key = tm_user_key_from(TM_SLICE_LITERAL("measuring")), .key_policy = TM_KEY_IGNORE};
    tm_event_reader *reader = tm_event_reader_new(&options);
    tm_buffer blobs;
    tm_buffer_init(&blobs, (size_t)1 << 30);
    static tm_event event;
    tm_shard_begin(shard, TM_TIME_NEVER);
    unsigned long long counted = 0, mallocs = 0, encoded = 0;
    size_t reserved = 0, blob_bytes = 0;
    double decode = 0, apply = 0, encode = 0;
    uint64_t judged = 0;
    tm_time start = INT64_C(1767225600000);
    enum { CHUNK = 1000 };
    static char texts[CHUNK][512];
    static int lengths[CHUNK];
    static tm_event events[CHUNK];
    for (uint64_t number = 0; number < a_day * days; number += CHUNK) {
        bool count = number >= a_day * days / 2;
        if (count && reserved == 0) {
            reserved = tm_shard_memory(shard);
            judged = tm_shard_counted(shard)->judged;
        }
        for (int i = 0; i < CHUNK; i++) {
            double into = (double)(number + (uint64_t)i) / (double)(a_day * days) * (double)days * (double)TM_DAY;
            lengths[i] = write_event(texts[i], number + (uint64_t)i, accounts, start + (tm_time)into);
        }
        unsigned long long before = allocations;
        double t0 = now();
        for (int i = 0; i < CHUNK; i++) {
            tm_dead_reason reason;
            char detail[TM_DEAD_DETAIL];
            if (tm_event_read(reader, (tm_slice){texts[i], (size_t)lengths[i]}, NULL, (tm_slice){0}, &events[i],
                              &reason, detail) != TM_OK)
                return 70;
        }
        double t1 = now();
        for (int i = 0; i < CHUNK; i++) {
            /* Slices of an event last until the next is read: read again, so that what is applied is whole. */
            tm_dead_reason reason;
            char detail[TM_DEAD_DETAIL];
            double r0 = now();
            (void)tm_event_read(reader, (tm_slice){texts[i], (size_t)lengths[i]}, NULL, (tm_slice){0}, &event, &reason,
                                detail);
            double r1 = now();
            tm_record record = {.input = TM_INPUT_USAGE,
                                .offset = (int64_t)number + i,
                                .timestamp = event.at,
                                .kind = TM_RECORD_EVENT,
                                .event = &event};
            tm_outcome outcome;
            if (tm_shard_apply(shard, &record, &outcome) != TM_OK)
                return 70;
            if (count)
                t1 += r1 - r0;
        }
        double t2 = now();
        if ((number / CHUNK) % 100 == 99) {
            tm_moment moment;
            tm_day_span span = {0};
            tm_moment_at(&moment, settings.zone, tm_shard_time(shard), &span);
            tm_buffer_reset(&blobs);
            uint32_t changed = tm_shard_changed_count(shard);
            for (uint32_t i = 0; i < changed; i++)
                tm_state_encode(tm_shard_changed(shard, i), pack, &moment, &blobs);
            if (count) {
                encoded += changed;
                blob_bytes += blobs.length;
            }
            tm_shard_settled(shard);
        }
        double t3 = now();
        if (count) {
            counted += CHUNK;
            mallocs += allocations - before;
            decode += t1 - t0;
            apply += t2 - t1;
            encode += t3 - t2;
        }
    }
    judged = tm_shard_counted(shard)->judged - judged;
    printf("{\"events\":%llu,\"allocations\":%llu,\"heap_growth_bytes\":%lld,\"decode_ns\":%.0f,\"apply_and_judge_ns\":"
           "%.0f,\"judgements_per_event\":%.2f,"
           "\"encode_ns_per_account\":%.0f,\"blob_bytes\":%.0f,\"memory_bytes_per_account\":%.0f}\n",
           counted, mallocs, (long long)(tm_shard_memory(shard) - reserved), decode / (double)counted / 2 * 1e9,
           apply / (double)counted * 1e9, (double)judged / (double)counted,
           encode / (double)(encoded ? encoded : 1) * 1e9, (double)blob_bytes / (double)(encoded ? encoded : 1),
           (double)tm_shard_memory(shard) / (double)tm_shard_account_count(shard));
    tm_event_reader_free(reader);
    tm_mapping_free(mapping);
    tm_shard_free(shard);
    tm_pack_free(pack);
    tm_buffer_done(&blobs);
    return 0;
}
