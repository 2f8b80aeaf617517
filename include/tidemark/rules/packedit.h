/* Numbers of a rules file replaced in its own text: everything else, comments and layout among it, stays as it was
   written. */
#ifndef TIDEMARK_RULES_PACKEDIT_H
#define TIDEMARK_RULES_PACKEDIT_H

#include "tidemark/base/bytes.h"
#include "tidemark/base/status.h"

/* A factor of a scorecard gets another map and weight. */
typedef struct tm_packedit_factor {
    tm_slice card, name;
    const double *x, *y; /* of the map, `points` each; NULL: it stays */
    uint32_t points;
    bool duration;   /* x are ms */
    double weight;   /* 0: it stays */
    tm_slice remark; /* one line, written above the factor behind "# tuned: "; absent: none */
} tm_packedit_factor;

/* A card's bands begin elsewhere, in points. */
typedef struct tm_packedit_bands {
    tm_slice card;
    double green, yellow;
} tm_packedit_bands;

/* A number or duration in a rule's `when` becomes another. */
typedef struct tm_packedit_limit {
    tm_slice rule;
    size_t start, end; /* bytes of the text of `when` */
    tm_slice number;   /* as it is to be written */
    tm_slice remark;   /* as above, above the rule's `when` */
} tm_packedit_limit;

typedef struct tm_packedit {
    tm_slice heading; /* lines, written at the top behind "# tuned: "; absent: none */
    bool raise;       /* `version` becomes one more, and that of each card of which a factor is edited */
    const tm_packedit_factor *factors;
    uint32_t factor_count;
    const tm_packedit_bands *bands;
    uint32_t bands_count;
    const tm_packedit_limit *limits;
    uint32_t limit_count;
} tm_packedit;

/* Appends the edited text. Lines "# tuned: …" of an earlier time at the top, and right above what is changed, go.
   `file_name` is what errors call it. TM_OK; TM_REJECT: the text is no rules file, has no such factor or rule, or does
   not give a rules file any more when edited; TM_FATAL without memory. */
tm_status tm_packedit_apply(tm_slice text, const char *file_name, const tm_packedit *edit, tm_buffer *out,
                            tm_error *error);

#endif
