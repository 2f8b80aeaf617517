/* What baselines cost a judgement: processor time of one evaluation of each, as a busy account asks for it every minute
   (what depends on past days is kept) and as it comes once a day or after a late event (nothing is kept).

     bench_baseline [ROUNDS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tidemark/core/shard.h"
#include "tidemark/rules/packfile.h"

static const char *const expressions[] = {
    "events[14d]",
    "zscore(events[14d], 8)",
    "zscore(events[14d offset 1d], 8)",
    "growth(events[28d offset 1d], 12)",
    "median_weekday(events, 8w)",
    "cusum(events, 8w)",
    "age(events) >= clamp(3 * gap(events, 95), 3d, 15d)",
};
enum { EXPRESSIONS = sizeof expressions / sizeof *expressions, DAYS = 400 };

static double processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fill(tm_account *account, tm_heap *heap, const tm_pack *pack, const tm_moment *now)
{
    for (int ago = DAYS - 1; ago >= 0; ago--) {
        for (int i = 0; i < 20 + (ago * 7 + ago / 5) % 30; i++) {
            tm_sample sample = {.at = now->t - ago * TM_DAY, .hour = now->hour - 24 * ago, .day = now->day - ago};
            tm_counted counted;
            if (tm_series_apply(&account->series[0], heap, &pack->metrics[0], now, &sample, &counted, NULL) != TM_OK)
                exit(70);
        }
    }
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 1000000;
    char text[4096] = "version: 1\nmetrics:\n  events: {count: '*'}\nrules:\n";
    for (int i = 0; i < EXPRESSIONS; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "  - {name: r%d, kind: advisory, when: '(%s) != null'}\n", i,
                 expressions[i]);
    }
    tm_pack *pack = NULL;
    tm_error error;
    if (tm_packfile_parse(tm_slice_of(text), "bench", NULL, &pack, &error) != TM_OK) {
        fprintf(stderr, "%s\n", error.what);
        return 70;
    }
    tm_heap *heap = tm_heap_new(0);
    tm_account *account = tm_account_new(heap, pack, tm_slice_of("a"));
    tm_evaluator *evaluator = tm_evaluator_new(heap, &pack->program);
    tm_moment now;
    tm_day_span span = {0};
    tm_moment_at(&now, tm_zone_utc(), INT64_C(1710072000000), &span);
    static const int32_t counting_days[1] = {INT32_MIN};
    tm_environment environment = {.pack = pack, .now = &now, .counting_days = counting_days};
    fill(account, heap, pack, &now);
    double sum = 0;
    for (int i = 0; i < EXPRESSIONS; i++) {
        uint32_t node = pack->program.argument_list[pack->program.nodes[pack->rules[i].when].arguments];
        double cost[2];
        for (int kept = 1; kept >= 0; kept--) {
            double since = processor_time();
            for (long n = 0; n < rounds; n++) {
                if (!kept)
                    tm_account_forget_derived(account);
                tm_evaluator_begin(evaluator, &environment, account, NULL);
                sum += tm_evaluator_value(evaluator, node).as.number;
            }
            cost[kept] = (processor_time() - since) / (double)rounds * 1e9;
        }
        printf("%-52s %8.1f ns kept %10.1f ns anew\n", expressions[i], cost[1], cost[0]);
    }
    printf("%zu bytes an account and baseline (%g)\n", sizeof(tm_derived), sum);
    tm_heap_free_all(heap);
    tm_pack_free(pack);
    return 0;
}
