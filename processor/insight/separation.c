#include "tidemark/insight/separation.h"

#include <math.h>
#include <stdlib.h>

typedef struct customer {
    uint32_t account;
    bool lost;
} customer;

struct tm_separation {
    uint32_t factors, looks, count, room;
    customer *cases;
    float *values; /* case, look, factor: a figure's rank is what counts, not its last digits */
};

tm_separation *tm_separation_new(uint32_t factors, uint32_t looks)
{
    tm_separation *s = calloc(1, sizeof *s);
    if (s) {
        s->factors = factors;
        s->looks = looks;
    }
    return s;
}

void tm_separation_free(tm_separation *separation)
{
    if (!separation)
        return;
    free(separation->cases);
    free(separation->values);
    free(separation);
}

static size_t place(const tm_separation *s, uint32_t number, uint32_t look, uint32_t factor)
{
    return ((size_t)number * s->looks + look) * s->factors + factor;
}

uint32_t tm_separation_case(tm_separation *separation, uint32_t account, bool lost)
{
    tm_separation *s = separation;
    if (s->count == s->room) {
        uint32_t room = s->room ? s->room * 2 : 64;
        customer *cases = reallocarray(s->cases, room, sizeof *cases);
        if (!cases)
            return UINT32_MAX;
        s->cases = cases;
        float *values = reallocarray(s->values, place(s, room, 0, 0) + 1, sizeof *values);
        if (!values)
            return UINT32_MAX;
        s->values = values;
        s->room = room;
    }
    s->cases[s->count] = (customer){account, lost};
    for (size_t i = place(s, s->count, 0, 0); i < place(s, s->count + 1, 0, 0); i++)
        s->values[i] = NAN;
    return s->count++;
}

void tm_separation_value(tm_separation *separation, uint32_t number, uint32_t look, uint32_t factor, double value)
{
    separation->values[place(separation, number, look, factor)] = (float)value;
}

tm_status tm_separation_area(const tm_separation *separation, const uint32_t *group_of, uint32_t group, uint32_t look,
                             uint32_t factor, tm_estimate *ret_area)
{
    const tm_separation *s = separation;
    tm_ranked *ranked = calloc((size_t)s->count + 1, sizeof *ranked);
    if (!ranked)
        return TM_FATAL;
    uint32_t count = 0;
    uint32_t lost = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        float value = s->values[place(s, i, look, factor)];
        if (isnan(value) || (group_of && group_of[s->cases[i].account] != group))
            continue;
        ranked[count++] = (tm_ranked){(double)value, i, s->cases[i].lost};
        lost += s->cases[i].lost;
    }
    *ret_area = tm_estimate_area(ranked, count);
    if (lost < TM_SEPARATION_LEAST || count - lost < TM_SEPARATION_LEAST)
        ret_area->low = ret_area->high = NAN;
    free(ranked);
    return TM_OK;
}

bool tm_separation_tells(tm_estimate area)
{
    return area.low > 0.5 || area.high < 0.5;
}
