/* What is asked after each test, in C: whether anything has changed that no event tells of.
 *
 * Between two tests a runner goes through megabytes of its own, and finds all of ours in a cache no
 * longer. So it counts how many objects are touched here, more than what is done with them: in
 * Python the same questions took twice as long. kernel.py and quiet.py do the same in Python;
 * tests/hygiene/engine/test_kernel.py and test_quiet.py hold them to one another.
 */

#include "_speedups.h"
#include <stddef.h>
#include <string.h>
#include <structmember.h>
#include <time.h>
#ifdef _WIN32
#include <windows.h>
#endif
#ifdef __linux__
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#endif

#define STATE_SIZE 128
#define MAX_PLACES 12

typedef struct {
    Py_ssize_t size;
    unsigned char bytes[STATE_SIZE];
} State;

/* ---- One question ------------------------------------------------------------------------------ */

/* Where a module or an object has something by a name, and what of it is wanted. */
typedef struct {
    PyObject *names; /* dict */
    PyObject *name;
    char fact; /* 'i': its id, 'f': the id of the function if it is a method, 'n': its length */
} Place;

typedef struct Probe {
    PyObject_HEAD
    int (*read)(struct Probe *, State *); /* 0, or -1 with an exception set */
    long number;
    PyObject *function;
    PyObject *numbers; /* tuple of int */
    PyObject *swap;    /* sets a number and returns the former one */
    PyObject *put_back;
    Place places[MAX_PLACES];
    Py_ssize_t place_count;
    vectorcallfunc vectorcall;
} Probe;

static PyTypeObject *probe_type = NULL;

static void
put(State *state, const void *from, Py_ssize_t size)
{
    memcpy(state->bytes + state->size, from, size);
    state->size += size;
}

static PyObject *
probe_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    State state = {.size = 0};
    if (PyVectorcall_NARGS(nargsf) > 0 || (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0)) {
        PyErr_SetString(PyExc_TypeError, "a probe takes no arguments");
        return NULL;
    }
    if (((Probe *)callable)->read((Probe *)callable, &state) < 0)
        return NULL;
    return PyBytes_FromStringAndSize((const char *)state.bytes, state.size);
}

static Probe *
new_probe(int (*read)(Probe *, State *))
{
    Probe *self = PyObject_GC_New(Probe, probe_type);
    if (self == NULL)
        return NULL;
    memset((char *)self + sizeof(PyObject), 0, sizeof(*self) - sizeof(PyObject));
    self->read = read;
    self->vectorcall = probe_call;
    PyObject_GC_Track(self);
    return self;
}

static int
probe_traverse(Probe *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->function);
    Py_VISIT(self->numbers);
    Py_VISIT(self->swap);
    Py_VISIT(self->put_back);
    for (Py_ssize_t i = 0; i < self->place_count; i++)
        Py_VISIT(self->places[i].names);
    return 0;
}

static int
probe_clear(Probe *self)
{
    Py_ssize_t count = self->place_count;
    self->place_count = 0;
    Py_CLEAR(self->function);
    Py_CLEAR(self->numbers);
    Py_CLEAR(self->swap);
    Py_CLEAR(self->put_back);
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_CLEAR(self->places[i].names);
        Py_CLEAR(self->places[i].name);
    }
    return 0;
}

static void
probe_dealloc(Probe *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    probe_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef probe_members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Probe, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(probe_doc,
"A question whose answer, some bytes, differs from the last one if what it asks for has changed.\n");

static PyType_Slot probe_slots[] = {
    {Py_tp_doc, (void *)probe_doc},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, probe_traverse},
    {Py_tp_clear, probe_clear},
    {Py_tp_dealloc, probe_dealloc},
    {Py_tp_members, probe_members},
    {0, NULL},
};

static PyType_Spec probe_spec = {
    .name = "pytest_resource_hygiene._speedups.Probe",
    .basicsize = sizeof(Probe),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
             | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = probe_slots,
};

/* ---- What the kernel is asked ------------------------------------------------------------------ */

#ifdef __linux__
static int
read_descriptor(Probe *self, State *state)
{
    struct stat status;
    if (fstat((int)self->number, &status) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    put(state, &status.st_ino, sizeof(status.st_ino));
    put(state, &status.st_size, sizeof(status.st_size));
    put(state, &status.st_nlink, sizeof(status.st_nlink));
    return 0;
}

static int
read_clock(Probe *self, State *state)
{
    struct itimerval timer;
    if (getitimer((int)self->number, &timer) < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    char armed = timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0;
    put(state, &armed, sizeof(armed));
    return 0;
}

/* There is no way to read it but to take it out and put it back, in the main thread. */
static int
put_wakeup_fd(Probe *self, State *state)
{
    PyObject *none = PyLong_FromLong(-1); /* one of those that exist already */
    PyObject *former = none == NULL ? NULL : PyObject_CallOneArg(self->swap, none);
    Py_XDECREF(none);
    if (former == NULL)
        return -1;
    long fd = PyLong_AsLong(former);
    PyObject *done = fd == -1 ? Py_NewRef(former) : PyObject_CallOneArg(self->put_back, former);
    Py_DECREF(former);
    put(state, &fd, sizeof(fd));
    Py_XDECREF(done);
    return done == NULL || PyErr_Occurred() ? -1 : 0;
}

static int
read_signals(Probe *self, State *state)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->numbers); i++) {
        /* A handler may raise when it is compared. Its id stays its own: our entry keeps it alive. */
        PyObject *handler = PyObject_CallOneArg(self->function, PyTuple_GET_ITEM(self->numbers, i));
        if (handler == NULL)
            return -1;
        put(state, &handler, sizeof(handler));
        Py_DECREF(handler);
    }
    sigset_t mask;
    memset(&mask, 0, sizeof(mask)); /* of which the kernel fills a part */
    if (pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0)
        put(state, &mask, 8); /* a bit for each of 64 signals */
    if (PyThread_get_thread_ident() == (unsigned long)self->number)
        return put_wakeup_fd(self, state);
    return 0;
}

static PyObject *
numbered_probe(int (*read)(Probe *, State *), PyObject *number)
{
    long value = PyLong_AsLong(number);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    Probe *self = new_probe(read);
    if (self != NULL)
        self->number = value;
    return (PyObject *)self;
}

PyDoc_STRVAR(descriptor_probe_doc,
"descriptor_probe(fd, /)\n--\n\n"
"Ask for the inode, the size and the number of links of what a descriptor points to.\n");

static PyObject *
descriptor_probe(PyObject *module, PyObject *fd)
{
    return numbered_probe(read_descriptor, fd);
}

PyDoc_STRVAR(clock_probe_doc,
"clock_probe(which, /)\n--\n\n"
"Ask whether an interval timer of this process runs; setitimer(2).\n");

static PyObject *
clock_probe(PyObject *module, PyObject *which)
{
    return numbered_probe(read_clock, which);
}

PyDoc_STRVAR(signals_probe_doc,
"signals_probe(getsignal, numbers, set_wakeup_fd, put_back, main_ident, /)\n--\n\n"
"Ask for the handlers of these signals, the mask of this thread, and the wakeup descriptor.\n\n"
"There is none where ``set_wakeup_fd(-1)`` returns -1; what else it does is given to ``put_back``.\n\n"
"Raises:\n"
"    ValueError: more signals than there is room for.\n");

static PyObject *
signals_probe(PyObject *module, PyObject *args)
{
    PyObject *getsignal, *numbers, *swap, *put_back;
    unsigned long main_ident;
    if (!PyArg_ParseTuple(args, "OO!OOk:signals_probe", &getsignal, &PyTuple_Type, &numbers, &swap,
                          &put_back, &main_ident))
        return NULL;
    Py_ssize_t most = (STATE_SIZE - 8 - sizeof(long)) / sizeof(PyObject *);
    if (PyTuple_GET_SIZE(numbers) > most) {
        PyErr_Format(PyExc_ValueError, "at most %zd signals, not %zd", most,
                     PyTuple_GET_SIZE(numbers));
        return NULL;
    }
    Probe *self = new_probe(read_signals);
    if (self == NULL)
        return NULL;
    self->function = Py_NewRef(getsignal);
    self->numbers = Py_NewRef(numbers);
    self->swap = Py_NewRef(swap);
    self->put_back = Py_NewRef(put_back);
    self->number = (long)main_ident;
    return (PyObject *)self;
}
#endif

/* ---- What modules and objects hold by a name ---------------------------------------------------- */

static int
read_place(const Place *place, State *state)
{
    PyObject *value = PyDict_GetItemWithError(place->names, place->name); /* NULL if deleted */
    if (value == NULL && PyErr_Occurred())
        return -1;
    if (place->fact == 'n') {
        Py_ssize_t length = value != NULL && PyList_CheckExact(value) ? PyList_GET_SIZE(value) : -1;
        put(state, &length, sizeof(length));
        return 0;
    }
    if (place->fact == 'f' && value != NULL && Py_IS_TYPE(value, &PyMethod_Type))
        value = PyMethod_GET_FUNCTION(value);
    put(state, &value, sizeof(value));
    return 0;
}

static int
read_places(Probe *self, State *state)
{
    for (Py_ssize_t i = 0; i < self->place_count; i++) {
        if (read_place(&self->places[i], state) < 0)
            return -1;
    }
    return 0;
}

PyDoc_STRVAR(places_probe_doc,
"places_probe(places, /)\n--\n\n"
"Ask what stands in each place: a dictionary, a name in it, and what of it is wanted.\n\n"
"That is \"i\" for its id, \"f\" for the id of its function if it is a method, and \"n\" for the length\n"
"of a list. Nothing is compared, so nobody's code runs.\n\n"
"Raises:\n"
"    ValueError: more places than there is room for.\n");

static PyObject *
places_probe(PyObject *module, PyObject *places)
{
    if (!PyTuple_Check(places) || PyTuple_GET_SIZE(places) > MAX_PLACES) {
        PyErr_Format(PyExc_ValueError, "places must be a tuple of at most %d", MAX_PLACES);
        return NULL;
    }
    Probe *self = new_probe(read_places);
    for (Py_ssize_t i = 0; self != NULL && i < PyTuple_GET_SIZE(places); i++) {
        PyObject *names, *name;
        int fact;
        if (!PyArg_ParseTuple(PyTuple_GET_ITEM(places, i), "O!UC:places_probe", &PyDict_Type, &names,
                              &name, &fact)) {
            Py_CLEAR(self);
            break;
        }
        self->places[i] = (Place){Py_NewRef(names), Py_NewRef(name), (char)fact};
        self->place_count = i + 1;
    }
    return (PyObject *)self;
}

/* ---- A place among others ------------------------------------------------------------------------ */

PyDoc_STRVAR(put_first_doc,
"put_first(names, name, item, /)\n--\n\n"
"Have the list of that name begin with an item; trackers/unclosed.py has it in Python.\n\n"
"Raises:\n"
"    TypeError: it is not the name of a list.\n");

static PyObject *
put_first(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 3 || !PyDict_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "put_first takes a dictionary, a name and an item");
        return NULL;
    }
    PyObject *item = args[2], *list = PyDict_GetItemWithError(args[0], args[1]);
    if (list == NULL || !PyList_Check(list)) {
        if (!PyErr_Occurred())
            PyErr_Format(PyExc_TypeError, "there is no list of the name %R", args[1]);
        return NULL;
    }
    Py_ssize_t at = 0, count = PyList_GET_SIZE(list);
    while (at < count && PyList_GET_ITEM(list, at) != item)
        at++;
    if (at == 0 && count > 0)
        Py_RETURN_NONE;
    Py_INCREF(list); /* what is dropped below might run anything */
    int failed = at < count ? PyList_SetSlice(list, at, at + 1, NULL) : 0;
    failed = failed < 0 || PyList_Insert(list, 0, item) < 0;
    Py_DECREF(list);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- What is over at the end of most tests -------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *records; /* list or deque of tuples */
    Py_ssize_t place;  /* of a weak reference in each */
    PyObject *is_over;
    Py_ssize_t seen;
} Passing;

static PyTypeObject *passing_type = NULL;
static PyObject *clear_name;

/* Whether that of one record is over; -1 with an exception set. */
static int
record_is_over(Passing *self, PyObject *record)
{
    if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) <= self->place) {
        PyErr_SetString(PyExc_TypeError, "a record is a tuple with a weak reference in its place");
        return -1;
    }
    PyObject *thing = PyObject_CallNoArgs(PyTuple_GET_ITEM(record, self->place));
    if (thing == NULL || thing == Py_None) {
        Py_XDECREF(thing);
        return thing == NULL ? -1 : 1;
    }
    PyObject *over = PyObject_CallOneArg(self->is_over, thing);
    int is_over = over == NULL ? -1 : PyObject_IsTrue(over);
    Py_XDECREF(over);
    Py_DECREF(thing);
    return is_over;
}

/* Whether all of them are over; -1 with an exception set. */
static int
are_all_over(Passing *self)
{
    if (self->records == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__ was not called");
        return -1;
    }
    int over = 1;
    self->seen = PyObject_Size(self->records);
    if (self->seen <= 0)
        return self->seen < 0 ? -1 : 1;
    PyObject *records = PySequence_List(self->records); /* others may add to them at any time */
    if (records == NULL)
        return -1;
    self->seen = PyList_GET_SIZE(records);
    for (Py_ssize_t i = 0; over == 1 && i < self->seen; i++)
        over = record_is_over(self, PyList_GET_ITEM(records, i));
    Py_DECREF(records);
    return over;
}

/* 0, or -1 with an exception set. */
static int
drop_seen(Passing *self)
{
    Py_ssize_t count = self->records == NULL ? 0 : PyObject_Size(self->records);
    if (count < 0 || count == 0 || count != self->seen)
        return count < 0 ? -1 : 0;
    if (PyList_Check(self->records))
        return PyList_SetSlice(self->records, 0, count, NULL);
    PyObject *done = PyObject_CallMethodNoArgs(self->records, clear_name);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

PyDoc_STRVAR(all_over_doc,
"all_over()\n--\n\n"
"Return whether everything is over.");

static PyObject *
all_over(Passing *self, PyObject *unused)
{
    int over = are_all_over(self);
    return over < 0 ? NULL : PyBool_FromLong(over);
}

PyDoc_STRVAR(drop_doc,
"drop()\n--\n\n"
"Drop the records that were asked for.");

static PyObject *
drop(Passing *self, PyObject *unused)
{
    if (drop_seen(self) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static int
passing_init(Passing *self, PyObject *args, PyObject *kwargs)
{
    PyObject *records, *is_over;
    Py_ssize_t place;
    if (!PyArg_ParseTuple(args, "OnO:Passing", &records, &place, &is_over))
        return -1;
    if (place < 0) {
        PyErr_Format(PyExc_ValueError, "place must be 0 or more, not %zd", place);
        return -1;
    }
    Py_XSETREF(self->records, Py_NewRef(records));
    Py_XSETREF(self->is_over, Py_NewRef(is_over));
    self->place = place;
    return 0;
}

static int
passing_traverse(Passing *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->records);
    Py_VISIT(self->is_over);
    return 0;
}

static int
passing_clear(Passing *self)
{
    Py_CLEAR(self->records);
    Py_CLEAR(self->is_over);
    return 0;
}

static void
passing_dealloc(Passing *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    passing_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

PyDoc_STRVAR(passing_doc,
"Passing(records, place, is_over, /)\n--\n\n"
"Records of what is over at the end of most tests; quiet.py has it in Python, and the words for it.\n");

static PyMethodDef passing_methods[] = {
    {"all_over", (PyCFunction)all_over, METH_NOARGS, all_over_doc},
    {"drop", (PyCFunction)drop, METH_NOARGS, drop_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot passing_slots[] = {
    {Py_tp_doc, (void *)passing_doc},
    {Py_tp_init, passing_init},
    {Py_tp_traverse, passing_traverse},
    {Py_tp_clear, passing_clear},
    {Py_tp_dealloc, passing_dealloc},
    {Py_tp_methods, passing_methods},
    {0, NULL},
};

static PyType_Spec passing_spec = {
    .name = "pytest_resource_hygiene._speedups.Passing",
    .basicsize = sizeof(Passing),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = passing_slots,
};

/* ---- All questions at once ----------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    Sites *sites;
    PyObject *passing; /* list of Passing, which may grow */
    PyObject *probes;  /* tuple of callables */
    State *states;    /* the last answers of those that are of our type */
    PyObject **answers; /* and of all others; each NULL if there was none */
    int are_known;
    int is_asking; /* another thread, or a question asks us */
    unsigned long long pulse;
    unsigned long long lasting;
    double seconds; /* that `close` has taken */
    vectorcallfunc vectorcall;
} Quiet;

static void
forget_answers(Quiet *self)
{
    PyObject **answers = self->answers;
    Py_ssize_t count = answers == NULL ? 0 : PyTuple_GET_SIZE(self->probes);
    self->answers = NULL;
    self->are_known = 0;
    for (Py_ssize_t i = 0; i < count; i++)
        Py_XDECREF(answers[i]);
    PyMem_Free(answers);
    PyMem_Free(self->states);
    self->states = NULL;
}

/* Each returns whether the answer is that of the last time, or -1 with an exception set. */

static int
ask_ours(Probe *probe, State *last)
{
    State now = {.size = 0};
    if (probe->read(probe, &now) < 0)
        return -1;
    if (now.size == last->size && memcmp(now.bytes, last->bytes, now.size) == 0)
        return 1;
    *last = now;
    return 0;
}

static int
ask_other(PyObject *probe, PyObject **last)
{
    PyObject *now = PyObject_CallNoArgs(probe);
    if (now == NULL)
        return -1;
    int same = *last == NULL ? 0 : PyObject_RichCompareBool(*last, now, Py_EQ);
    Py_XSETREF(*last, now);
    return same;
}

static int
ask_all(Quiet *self)
{
    int same = self->are_known;
    self->are_known = 0; /* if one raises, the next time is as good as the first */
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self->probes); i++) {
        PyObject *probe = PyTuple_GET_ITEM(self->probes, i);
        int answer = Py_IS_TYPE(probe, probe_type) ? ask_ours((Probe *)probe, &self->states[i])
                                                   : ask_other(probe, &self->answers[i]);
        if (answer < 0)
            return -1;
        same &= answer;
    }
    self->are_known = 1;
    return same;
}

/* Both return -1 with an exception set. */

static int
has_passed(Quiet *self)
{
    int over = 1;
    for (Py_ssize_t i = 0; over == 1 && i < PyList_GET_SIZE(self->passing); i++) {
        PyObject *one = Py_NewRef(PyList_GET_ITEM(self->passing, i));
        if (Py_IS_TYPE(one, passing_type))
            over = are_all_over((Passing *)one);
        else {
            PyErr_SetString(PyExc_TypeError, "what passes must be of the type Passing");
            over = -1;
        }
        Py_DECREF(one);
    }
    return over;
}

static int
drop_passed(Quiet *self)
{
    int failed = 0;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(self->passing); i++) {
        PyObject *one = Py_NewRef(PyList_GET_ITEM(self->passing, i));
        failed = Py_IS_TYPE(one, passing_type) ? drop_seen((Passing *)one) : 0;
        Py_DECREF(one);
    }
    return failed;
}

/* Whether nothing has happened that lasts; -1 with an exception set. */
static int
is_quiet(Quiet *self, int something_passes)
{
    int quiet = something_passes ? has_passed(self) : 1;
    if (quiet == 1)
        quiet = ask_all(self);
    /* Not before: whoever looks wants to know how it was made. */
    if (quiet == 1 && something_passes && drop_passed(self) < 0)
        return -1;
    return quiet;
}

/* Whether it has been quiet since the last time; -1 with an exception set. */
static int
ask(Quiet *self)
{
    if (self->sites == NULL || self->answers == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__ was not called");
        return -1;
    }
    int something_passes = self->sites->pulse != self->pulse;
    int something_lasts = self->sites->lasting != self->lasting;
    self->pulse = self->sites->pulse;
    self->lasting = self->sites->lasting;
    if (something_lasts || self->is_asking)
        return 0;
    self->is_asking = 1;
    int quiet = is_quiet(self, something_passes);
    self->is_asking = 0;
    if (quiet < 0) {
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return -1;
        PyErr_Clear(); /* a closed descriptor, anybody's class: who lists will tell */
        return 0;
    }
    return quiet;
}

static PyObject *
quiet_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    int quiet = ask((Quiet *)callable);
    return quiet < 0 ? NULL : PyBool_FromLong(quiet);
}

/* ---- The end of a test that was quiet ------------------------------------------------------------ */

static PyObject *held_name, *caught_name, *closed_name;

/* Of a clock that only goes forward. */
static double
seconds_now(void)
{
#ifdef _WIN32
    LARGE_INTEGER ticks, frequency;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    return (double)ticks.QuadPart / (double)frequency.QuadPart;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
#endif
}

/* Each -1 with an exception set. */

static int
has_any(PyObject *owner, PyObject *name)
{
    PyObject *value = PyObject_GetAttr(owner, name);
    int is_true = value == NULL ? -1 : PyObject_IsTrue(value);
    Py_XDECREF(value);
    return is_true;
}

static int
close_owner(Quiet *self, PyObject *owner, PyObject *window)
{
    int is_closed = has_any(owner, closed_name);
    if (is_closed != 0)
        return is_closed;
    int quiet = ask(self);
    if (quiet < 0)
        return -1;
    if (!quiet) {
        self->lasting--; /* unlike any count to come: whoever asks next is told again */
        return 0;
    }
    int answers = has_any(owner, held_name);
    if (answers == 0)
        answers = has_any(owner, caught_name);
    if (answers != 0)
        return answers < 0 ? -1 : 0;
    if (PyObject_SetAttr(owner, closed_name, Py_True) < 0 || end_window(self->sites, owner, window) < 0)
        return -1;
    return 1;
}

PyDoc_STRVAR(close_doc,
"close(owner, window, /)\n--\n\n"
"End the window of an owner if nothing has happened in it; return whether that is so.\n\n"
"It is so of one that was ended before. If not, whoever asks next is told of what has happened.");

static PyObject *
quiet_close(Quiet *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "close takes 2 arguments, not %zd", nargs);
        return NULL;
    }
    double began = seconds_now();
    int closed = close_owner(self, args[0], args[1]);
    self->seconds += seconds_now() - began;
    return closed < 0 ? NULL : PyBool_FromLong(closed);
}

PyDoc_STRVAR(ask_for_doc,
"ask_for(probes, /)\n--\n\n"
"Ask these from now on; it is not quiet when they are asked first.\n\n"
"Raises:\n"
"    RuntimeError: called by one of the probes.\n");

static PyObject *
ask_for(Quiet *self, PyObject *probes)
{
    if (self->is_asking) {
        PyErr_SetString(PyExc_RuntimeError, "the probes are being asked");
        return NULL;
    }
    PyObject *fresh = PySequence_Tuple(probes);
    if (fresh == NULL)
        return NULL;
    Py_ssize_t count = PyTuple_GET_SIZE(fresh);
    State *states = PyMem_Calloc(count + 1, sizeof(*states));
    PyObject **answers = PyMem_Calloc(count + 1, sizeof(*answers));
    if (states == NULL || answers == NULL) {
        PyMem_Free(states);
        PyMem_Free(answers);
        Py_DECREF(fresh);
        return PyErr_NoMemory();
    }
    forget_answers(self);
    Py_XSETREF(self->probes, fresh);
    self->states = states;
    self->answers = answers;
    Py_RETURN_NONE;
}

static int
quiet_init(Quiet *self, PyObject *args, PyObject *kwargs)
{
    PyObject *sites, *passing;
    if (!PyArg_ParseTuple(args, "O!O!:Quiet", sites_type, &sites, &PyList_Type, &passing))
        return -1;
    PyObject *none = PyTuple_New(0), *done = none == NULL ? NULL : ask_for(self, none);
    Py_XDECREF(none);
    if (done == NULL)
        return -1;
    Py_DECREF(done);
    Py_XSETREF(self->sites, (Sites *)Py_NewRef(sites));
    Py_XSETREF(self->passing, Py_NewRef(passing));
    self->pulse = self->sites->pulse - 1;
    self->lasting = self->sites->lasting - 1;
    self->vectorcall = quiet_call;
    return 0;
}

static int
quiet_traverse(Quiet *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->sites);
    Py_VISIT(self->passing);
    Py_VISIT(self->probes);
    for (Py_ssize_t i = 0; self->answers != NULL && i < PyTuple_GET_SIZE(self->probes); i++)
        Py_VISIT(self->answers[i]);
    return 0;
}

static int
quiet_clear(Quiet *self)
{
    forget_answers(self);
    Py_CLEAR(self->sites);
    Py_CLEAR(self->passing);
    Py_CLEAR(self->probes);
    return 0;
}

static void
quiet_dealloc(Quiet *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    quiet_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

PyDoc_STRVAR(quiet_doc,
"Quiet(sites, passing, /)\n--\n\n"
"Tells whether nothing has happened since it was last asked; quiet.py has it in Python.\n");

static PyMethodDef quiet_methods[] = {
    {"ask_for", (PyCFunction)ask_for, METH_O, ask_for_doc},
    {"close", _PyCFunction_CAST(quiet_close), METH_FASTCALL, close_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef quiet_members[] = {
    {"probes", T_OBJECT, offsetof(Quiet, probes), READONLY, NULL},
    {"seconds", T_DOUBLE, offsetof(Quiet, seconds), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Quiet, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot quiet_slots[] = {
    {Py_tp_doc, (void *)quiet_doc},
    {Py_tp_init, quiet_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, quiet_traverse},
    {Py_tp_clear, quiet_clear},
    {Py_tp_dealloc, quiet_dealloc},
    {Py_tp_methods, quiet_methods},
    {Py_tp_members, quiet_members},
    {0, NULL},
};

static PyType_Spec quiet_spec = {
    .name = "pytest_resource_hygiene._speedups.Quiet",
    .basicsize = sizeof(Quiet),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = quiet_slots,
};

static PyMethodDef probe_functions[] = {
#ifdef __linux__
    {"clock_probe", clock_probe, METH_O, clock_probe_doc},
    {"descriptor_probe", descriptor_probe, METH_O, descriptor_probe_doc},
    {"signals_probe", signals_probe, METH_VARARGS, signals_probe_doc},
#endif
    {"put_first", _PyCFunction_CAST(put_first), METH_FASTCALL, put_first_doc},
    {"places_probe", places_probe, METH_O, places_probe_doc},
    {NULL, NULL, 0, NULL},
};

int
add_probes(PyObject *module)
{
    probe_type = add_type(module, &probe_spec, "Probe");
    passing_type = add_type(module, &passing_spec, "Passing");
    held_name = PyUnicode_InternFromString("held");
    caught_name = PyUnicode_InternFromString("caught");
    closed_name = PyUnicode_InternFromString("closed");
    clear_name = PyUnicode_InternFromString("clear");
    if (held_name == NULL || caught_name == NULL || closed_name == NULL || clear_name == NULL)
        return -1;
    if (probe_type == NULL || passing_type == NULL
        || add_type(module, &quiet_spec, "Quiet") == NULL)
        return -1;
    return PyModule_AddFunctions(module, probe_functions);
}
