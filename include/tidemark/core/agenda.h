/* When which account is to be judged: a heap of instants, ordered by time and then by account hash, so that the order
   of judgement is the same on every machine. */
#ifndef TIDEMARK_CORE_AGENDA_H
#define TIDEMARK_CORE_AGENDA_H

#include "tidemark/core/account.h"

typedef struct tm_agenda tm_agenda;

tm_agenda *tm_agenda_new(tm_heap *heap);
void tm_agenda_free(tm_agenda *agenda);
/* Sees to it that the account is judged at `when` or earlier (account->judge_at holds the earliest). TM_OK, TM_FATAL or
 * TM_BROKEN. */
tm_status tm_agenda_put(tm_agenda *agenda, tm_account *account, tm_time when);
/* Takes the account out; its entries die when they come up. To be called before an account is freed. */
void tm_agenda_forget(tm_agenda *agenda, tm_account *account);
/* Takes every account out; the caller sets their judge_at and later_at to TM_TIME_NEVER. */
void tm_agenda_clear(tm_agenda *agenda);
/* The earliest instant; TM_TIME_NEVER when empty. */
tm_time tm_agenda_next(tm_agenda *agenda);
/* Takes the first account whose instant is at or before `until`; NULL when there is none. Its judge_at becomes
 * TM_TIME_NEVER. */
tm_account *tm_agenda_take(tm_agenda *agenda, tm_time until, tm_time *ret_when);

#endif
