#include "tidemark/codec/healthrecord.h"

#include "tidemark/base/calendar.h"
#include "tidemark/codec/signal.h"

#define PUT(out, literal) tm_buffer_append((out), literal, sizeof(literal) - 1)

static void put_factor(tm_buffer *out, const tm_health_factor *factor)
{
    PUT(out, "{\"factor\":");
    tm_buffer_append_json_string(out, factor->factor->name);
    PUT(out, ",\"value\":");
    tm_value_encode(factor->value, out);
    PUT(out, ",\"points\":");
    tm_value_encode(factor->points, out);
    PUT(out, ",\"weight\":");
    tm_buffer_append_json_number(out, factor->weight);
    PUT(out, ",\"contribution\":");
    tm_buffer_append_json_number(out, factor->contribution);
    tm_buffer_append_char(out, '}');
}

void tm_health_members_encode(const tm_health *health, tm_buffer *out)
{
    const char *band = tm_band_name(health->band);
    PUT(out, "\"score\":");
    tm_value_encode(health->score, out);
    PUT(out, ",\"band\":");
    tm_buffer_append_json_string(out, band ? tm_slice_of(band) : (tm_slice){NULL, 0});
    PUT(out, ",\"coverage\":");
    tm_buffer_append_json_number(out, health->coverage);
    PUT(out, ",\"change\":{\"7d\":");
    tm_value_encode(health->change_week, out);
    PUT(out, ",\"28d\":");
    tm_value_encode(health->change_month, out);
    PUT(out, "},\"factors\":[");
    for (uint32_t i = 0; i < health->factor_count; i++) {
        if (i > 0)
            tm_buffer_append_char(out, ',');
        put_factor(out, &health->factors[i]);
    }
    tm_buffer_append_char(out, ']');
}

void tm_health_record_encode(const tm_health_record *record, tm_buffer *out)
{
    const tm_card *card = record->health->card;
    char at[TM_TIME_TEXT];
    tm_time_format(record->at, at);
    PUT(out, "{\"account\":");
    tm_buffer_append_json_string(out, record->account);
    PUT(out, ",\"at\":\"");
    tm_buffer_append_text(out, at);
    PUT(out, "\",\"stage\":");
    tm_buffer_append_json_string(out, record->stage);
    PUT(out, ",\"card\":");
    tm_buffer_append_json_string(out, card ? card->name : (tm_slice){NULL, 0});
    PUT(out, ",\"card_version\":");
    if (card)
        tm_buffer_append_integer(out, card->version);
    else
        PUT(out, "null");
    tm_buffer_append_char(out, ',');
    tm_health_members_encode(record->health, out);
    PUT(out, ",\"rules_version\":");
    tm_buffer_append_integer(out, record->rules_version);
    tm_buffer_append_char(out, '}');
}
