/* What happens hundreds of times in a test, in C: the audit hook, and the walk of the frames that made
 * something. What is asked once in each is in _probes.c.
 *
 * In Python, a hook costs some 2,500 instructions for each event of the interpreter, also for those
 * that are none of ours, and each look at a frame's code raises an event of its own. Here the first
 * is a look at two letters, and the second raises nothing. audit.py does the same in Python where
 * this was not compiled; tests/hygiene/engine/test_audit.py holds the two to one another.
 */

#include "_speedups.h"
#include <stddef.h>
#include <string.h>
#include <structmember.h>
#ifdef __linux__
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

/* The frames themselves. The public functions make an object of each, which costs ten times the look
 * and once more when the function returns, in the time of the user's code. What they look like holds
 * for a minor version, and Cython's modules rely on it as well; for others there is the public way. */
#if PY_VERSION_HEX < 0x030E0000 && defined(__has_include)
#if __has_include(<internal/pycore_frame.h>)
#define Py_BUILD_CORE 1
#include <internal/pycore_frame.h>
#undef Py_BUILD_CORE
#define HAS_BARE_FRAMES
#endif
#endif

#if PY_VERSION_HEX < 0x030D0000
#define Py_IsFinalizing _Py_IsFinalizing /* the same, before it became public in 3.13 */
#endif

/* Another number whenever a name or a meaning changes; the same as in compiled.py. */
#define INTERFACE 12

#define MAX_EVENTS 64
#define LETTERS 256

typedef struct {
    PyObject *name; /* keeps `text` */
    const char *text;
    PyObject *handler;
    unsigned char letters; /* of `text` */
} Entry;

/* One per process, as the hook itself. Changed and read with the lock of the main interpreter held:
 * events of other interpreters are not ours, and are turned away before the table is read. */
static Entry entries[MAX_EVENTS];
static Py_ssize_t entry_count = 0;
static unsigned char may_begin[LETTERS]; /* by the sum of an event's first two letters */
static PyInterpreterState *interpreter = NULL;
static int is_installed = 0;

static inline unsigned char
letters(const char *event)
{
    /* Events are never empty; that of one letter has its end as its second. */
    return event[0] == '\0' ? 0 : (unsigned char)(3 * event[0] + event[1]);
}

static int
call(PyObject *handler, PyObject *args)
{
    /* As sys.addaudithook has it: no debugger or coverage looks into a hook. */
    PyThreadState *state = PyThreadState_Get();
    PyThreadState_EnterTracing(state);
    Py_INCREF(handler); /* it may take itself out of the table */
    PyObject *result = PyObject_CallOneArg(handler, args);
    Py_DECREF(handler);
    PyThreadState_LeaveTracing(state);
    if (result == NULL)
        return -1;
    Py_DECREF(result);
    return 0;
}

static int
hook(const char *event, PyObject *args, void *unused)
{
    unsigned char begins = letters(event);
    if (!may_begin[begins])
        return 0;
    if (Py_IsFinalizing() || PyInterpreterState_Get() != interpreter)
        return 0;
    for (Py_ssize_t i = 0; i < entry_count; i++) {
        if (entries[i].letters == begins && strcmp(entries[i].text, event) == 0)
            return call(entries[i].handler, args);
    }
    return 0;
}

PyDoc_STRVAR(set_handlers_doc,
"set_handlers(handlers, /)\n--\n\n"
"Call ``handlers[event](args)`` at each audit event of that name, and no longer those of before.\n\n"
"Raises:\n"
"    ValueError: more events than there is room for.\n");

static PyObject *
set_handlers(PyObject *module, PyObject *handlers)
{
    if (!PyDict_Check(handlers)) {
        PyErr_SetString(PyExc_TypeError, "handlers must be a dict");
        return NULL;
    }
    if (PyDict_GET_SIZE(handlers) > MAX_EVENTS) {
        PyErr_Format(PyExc_ValueError, "at most %d events, not %zd", MAX_EVENTS,
                     PyDict_GET_SIZE(handlers));
        return NULL;
    }
    Entry fresh[MAX_EVENTS], old[MAX_EVENTS];
    Py_ssize_t count = 0, old_count = entry_count, at = 0;
    PyObject *name, *handler;
    while (PyDict_Next(handlers, &at, &name, &handler)) {
        const char *text = PyUnicode_AsUTF8(name);
        if (text == NULL)
            return NULL;
        fresh[count++] = (Entry){name, text, handler, letters(text)};
    }
    /* From here on nothing fails, and nothing runs that could ask for the table. */
    memcpy(old, entries, sizeof(old));
    memset(may_begin, 0, sizeof(may_begin));
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(fresh[i].name);
        Py_INCREF(fresh[i].handler);
        entries[i] = fresh[i];
        may_begin[fresh[i].letters] = 1;
    }
    entry_count = count;
    interpreter = PyInterpreterState_Get();
    for (Py_ssize_t i = 0; i < old_count; i++) {
        Py_DECREF(old[i].name);
        Py_DECREF(old[i].handler);
    }
    if (!is_installed) {
        if (PySys_AddAuditHook(hook, NULL) < 0)
            return NULL;
        is_installed = 1;
    }
    Py_RETURN_NONE;
}

/* ---- Where, and for whom, something is made ------------------------------------------------- */

#define MAX_FRAMES 64 /* of those that are not left out */
#define MAX_SEEN 96

#define ANYWHERE (-1) /* as an offset: of a frame that is left out, wherever it is */

/* One frame after the other, with references of one's own. */
typedef struct {
    PyObject *code[MAX_SEEN];
    int offset[MAX_SEEN];
    Py_ssize_t count;
    Py_ssize_t kept; /* how many of them are not left out */
} Frames;

/* Whether the stack ends before the frames of a file; -1 with an exception set. */
static int
ends_at(Sites *self, PyObject *name)
{
    KnownFile *known = &self->known[((size_t)name / sizeof(PyUnicodeObject)) % KNOWN_FILES];
    if (known->name != name) {
        int ends = PySet_Contains(self->stop_files, name);
        if (ends < 0)
            return -1;
        Py_XSETREF(known->name, Py_NewRef(name));
        known->ends = ends;
    }
    return known->ends;
}

/* Returns what `ends_at` does. */
static int
add_frame(Frames *frames, Sites *self, PyCodeObject *code, int offset)
{
    int ends = code->co_filename == self->own_file ? 0 : ends_at(self, code->co_filename);
    int is_kept = !ends && code->co_filename != self->own_file;
    frames->code[frames->count] = Py_NewRef((PyObject *)code);
    frames->offset[frames->count++] = is_kept ? offset : ANYWHERE;
    frames->kept += is_kept;
    return ends;
}

static inline int
has_room(const Frames *frames)
{
    return frames->kept < MAX_FRAMES && frames->count < MAX_SEEN;
}

#ifdef HAS_BARE_FRAMES
typedef _PyInterpreterFrame *Frame;

/* The first frame from this one on that belongs to no call from C, and has begun. */
static inline Frame
complete(Frame frame)
{
    while (frame != NULL && _PyFrame_IsIncomplete(frame))
        frame = frame->previous;
    return frame;
}

static Frame
frame_above(long depth)
{
#if PY_VERSION_HEX >= 0x030D0000
    Frame frame = complete(PyThreadState_Get()->current_frame);
#else
    Frame frame = complete(PyThreadState_Get()->cframe->current_frame);
#endif
    while (frame != NULL && depth-- > 0)
        frame = complete(frame->previous);
    return frame;
}

static inline PyCodeObject *
code_of(Frame frame)
{
#if PY_VERSION_HEX >= 0x030D0000
    return _PyFrame_GetCode(frame);
#else
    return frame->f_code;
#endif
}

static inline int
offset_of(Frame frame)
{
    return (int)(_PyInterpreterFrame_LASTI(frame) * sizeof(_Py_CODEUNIT));
}

/* Looks at nothing but the frames themselves, which are at hand while their functions run. */
static int
is_known(const KnownStack *known, Frame frame)
{
    if (known->stack == NULL)
        return 0;
    for (int i = 0; i < known->count; i++, frame = complete(frame->previous)) {
        if (frame == NULL || (PyObject *)code_of(frame) != known->code[i]
            || (known->offset[i] != ANYWHERE && known->offset[i] != offset_of(frame)))
            return 0;
    }
    return !known->is_whole || frame == NULL;
}

/* By the three innermost frames: one function of a library is called from everywhere. */
static KnownStack *
place_of(Sites *self, Frame frame)
{
    size_t mixed = 0;
    for (int i = 0; i < 3 && frame != NULL; i++, frame = complete(frame->previous))
        mixed = 31 * mixed + (size_t)code_of(frame) / 64 + (size_t)offset_of(frame) / 2;
    return &self->stacks[mixed % KNOWN_STACKS];
}

/* Returns what `ends_at` does. */
static int
collect(Frames *frames, Sites *self, Frame frame)
{
    int ends = 0;
    for (; frame != NULL && !ends && has_room(frames); frame = complete(frame->previous))
        ends = add_frame(frames, self, code_of(frame), offset_of(frame));
    return ends;
}
#else
typedef PyFrameObject *Frame; /* a reference of one's own */

static Frame
frame_above(long depth)
{
    Frame frame = (Frame)Py_XNewRef((PyObject *)PyEval_GetFrame());
    while (frame != NULL && depth-- > 0)
        Py_SETREF(frame, PyFrame_GetBack(frame));
    return frame;
}

static int
collect(Frames *frames, Sites *self, Frame frame)
{
    int ends = 0;
    while (frame != NULL && !ends && has_room(frames)) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        ends = add_frame(frames, self, code, PyFrame_GetLasti(frame));
        Py_DECREF(code);
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    Py_XDECREF(frame);
    return ends;
}
#endif

/* What was in its place is dropped last: with code, weak references to it may call anything. */
static void
replace(KnownStack *known, const KnownStack *by)
{
    KnownStack old = *known;
    *known = *by;
    for (int i = 0; old.stack != NULL && i < old.count; i++)
        Py_DECREF(old.code[i]);
    Py_XDECREF(old.stack);
}

static void
forget_stacks(Sites *self)
{
    static const KnownStack none;
    for (int i = 0; i < KNOWN_STACKS; i++)
        replace(&self->stacks[i], &none);
}

#ifdef HAS_BARE_FRAMES
static void
remember(KnownStack *known, const Frames *frames, PyObject *stack, int ends)
{
    if (frames->count > KNOWN_DEPTH)
        return;
    KnownStack fresh;
    for (int i = 0; i < frames->count; i++) {
        fresh.code[i] = Py_NewRef(frames->code[i]);
        fresh.offset[i] = frames->offset[i];
    }
    fresh.count = (int)frames->count;
    fresh.is_whole = !ends;
    fresh.stack = Py_NewRef(stack);
    replace(known, &fresh);
}
#endif

static PyObject *
as_tuple(const Frames *frames)
{
    PyObject *stack = PyTuple_New(2 * frames->kept);
    if (stack == NULL)
        return NULL;
    for (Py_ssize_t i = 0, at = 0; i < frames->count; i++) {
        if (frames->offset[i] == ANYWHERE)
            continue;
        PyObject *offset = PyLong_FromLong(frames->offset[i]);
        if (offset == NULL) {
            Py_DECREF(stack);
            return NULL;
        }
        PyTuple_SET_ITEM(stack, at++, Py_NewRef(frames->code[i]));
        PyTuple_SET_ITEM(stack, at++, offset);
    }
    PyObject_GC_UnTrack(stack); /* code and numbers: nothing that could lead back to it */
    return stack;
}

/* The stack from `depth` frames above the Python function that is running. */
static PyObject *
stack_of(Sites *self, long depth)
{
    Frame frame = frame_above(depth);
#ifdef HAS_BARE_FRAMES
    KnownStack *known = frame == NULL ? NULL : place_of(self, frame);
    if (known != NULL && is_known(known, frame))
        return Py_NewRef(known->stack);
#endif
    Frames frames;
    frames.count = frames.kept = 0;
    int ends = collect(&frames, self, frame);
    PyObject *stack = ends < 0 ? NULL : as_tuple(&frames);
#ifdef HAS_BARE_FRAMES
    if (known != NULL && stack != NULL)
        remember(known, &frames, stack, ends);
#endif
    for (Py_ssize_t i = 0; i < frames.count; i++)
        Py_DECREF(frames.code[i]);
    return stack;
}

PyDoc_STRVAR(site_doc,
"site(what, depth=0, /)\n--\n\n"
"Return the stack, the owner of the context, the window, the maker of the thread, and ``what``.");

/* What passes is over at the end of most tests, as a task is: it does not count as lasting. */
static PyObject *
take_down(Sites *self, PyObject *what, long depth, int passes)
{
    if (self->owner_var == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__ was not called");
        return NULL;
    }
    self->pulse++; /* holding the lock: no step is lost */
    self->lasting += !passes;
    PyObject *stack = stack_of(self, depth), *owner = NULL, *parent = NULL, *result = NULL;
    if (stack == NULL || PyContextVar_Get(self->owner_var, Py_None, &owner) < 0)
        goto done;
    if (PyThread_get_thread_ident() == self->main_ident)
        parent = Py_NewRef(Py_None);
    else
        parent = PyObject_CallMethod((PyObject *)self, "maker_of_thread", NULL);
    if (parent != NULL)
        result = PyTuple_Pack(5, stack, owner, self->window, parent, what);
    /* Thousands of them lie in lists of ours. The collector would go through all, again and again,
     * in the tests of others; a cycle through one of them ends when the recorder forgets it. */
    if (result != NULL)
        PyObject_GC_UnTrack(result);
done:
    Py_XDECREF(stack);
    Py_XDECREF(owner);
    Py_XDECREF(parent);
    return result;
}

static PyObject *
called_site(Sites *self, PyObject *const *args, Py_ssize_t nargs, int passes)
{
    if (nargs < 1 || nargs > 2) {
        PyErr_Format(PyExc_TypeError, "a site takes 1 or 2 arguments, not %zd", nargs);
        return NULL;
    }
    long depth = nargs == 2 ? PyLong_AsLong(args[1]) : 1;
    if (depth == -1 && PyErr_Occurred())
        return NULL;
    return take_down(self, args[0], depth, passes);
}

static PyObject *
site(Sites *self, PyObject *const *args, Py_ssize_t nargs)
{
    return called_site(self, args, nargs, 0);
}

PyDoc_STRVAR(passing_site_doc,
"passing_site(what, depth=0, /)\n--\n\n"
"Return the same of something that is over at the end of most tests, which is asked for then.");

static PyObject *
passing_site(Sites *self, PyObject *const *args, Py_ssize_t nargs)
{
    return called_site(self, args, nargs, 1);
}

static void
forget_files(Sites *self)
{
    for (int i = 0; i < KNOWN_FILES; i++)
        Py_CLEAR(self->known[i].name);
}

PyDoc_STRVAR(stir_doc,
"stir()\n--\n\n"
"Have the pulse differ from that of before: something has happened that is recorded elsewhere.");

static PyObject *
stir(Sites *self, PyObject *unused)
{
    self->pulse++;
    self->lasting++;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(begin_doc,
"begin(owner, /)\n--\n\n"
"Open the window of an owner, who is at work in this context from now on.");

static int
set_at_work(Sites *self, PyObject *window, PyObject *owner)
{
    if (self->owner_var == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__ was not called");
        return -1;
    }
    Py_XSETREF(self->window, Py_NewRef(window));
    PyObject *token = owner == NULL ? NULL : PyContextVar_Set(self->owner_var, owner);
    Py_XDECREF(token);
    return owner != NULL && token == NULL ? -1 : 0;
}

static PyObject *
begin(Sites *self, PyObject *owner)
{
    if (set_at_work(self, owner, owner) < 0)
        return NULL;
    Py_XSETREF(self->begun, Py_NewRef(owner));
    self->begins++;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(end_doc,
"end(owner, window, /)\n--\n\n"
"Open another window, if it is the owner's that is; in the main thread nobody is at work then.");

int
end_window(Sites *self, PyObject *owner, PyObject *window)
{
    if (self->window != owner)
        return 0;
    int is_main = PyThread_get_thread_ident() == self->main_ident;
    return set_at_work(self, window, is_main ? Py_None : NULL);
}

static PyObject *
end(Sites *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2) {
        PyErr_Format(PyExc_TypeError, "end takes 2 arguments, not %zd", nargs);
        return NULL;
    }
    if (end_window(self, args[0], args[1]) < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(sites_doc,
"Sites(stop_files, own_file, owner_var, main_ident)\n--\n\n"
"Takes down where things are made, and for whom; audit.py has it in Python, and the words for it.");

static int
sites_init(Sites *self, PyObject *args, PyObject *kwargs)
{
    PyObject *stop_files, *own_file, *owner_var;
    unsigned long main_ident;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        PyErr_SetString(PyExc_TypeError, "Sites takes no keywords");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "O!UO!k:Sites", &PyFrozenSet_Type, &stop_files, &own_file,
                          &PyContextVar_Type, &owner_var, &main_ident))
        return -1;
    forget_files(self);
    forget_stacks(self);
    Py_XSETREF(self->stop_files, Py_NewRef(stop_files));
    Py_XSETREF(self->own_file, Py_NewRef(own_file));
    Py_XSETREF(self->owner_var, Py_NewRef(owner_var));
    Py_XSETREF(self->window, Py_NewRef(Py_None));
    Py_XSETREF(self->begun, Py_NewRef(Py_None));
    self->main_ident = main_ident;
    self->pulse++;
    self->lasting++;
    return 0;
}

static int
sites_traverse(Sites *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->stop_files);
    Py_VISIT(self->own_file);
    Py_VISIT(self->owner_var);
    Py_VISIT(self->window);
    Py_VISIT(self->begun);
    return 0;
}

static int
sites_clear(Sites *self)
{
    forget_files(self);
    Py_CLEAR(self->stop_files);
    Py_CLEAR(self->own_file);
    Py_CLEAR(self->owner_var);
    Py_CLEAR(self->window);
    Py_CLEAR(self->begun);
    forget_stacks(self);
    return 0;
}

static void
sites_dealloc(Sites *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    sites_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef sites_methods[] = {
    {"site", _PyCFunction_CAST(site), METH_FASTCALL, site_doc},
    {"passing_site", _PyCFunction_CAST(passing_site), METH_FASTCALL, passing_site_doc},
    {"stir", _PyCFunction_CAST(stir), METH_NOARGS, stir_doc},
    {"begin", _PyCFunction_CAST(begin), METH_O, begin_doc},
    {"end", _PyCFunction_CAST(end), METH_FASTCALL, end_doc},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef sites_members[] = {
    {"owner_var", T_OBJECT_EX, offsetof(Sites, owner_var), READONLY, NULL},
    {"window", T_OBJECT_EX, offsetof(Sites, window), 0, NULL},
    {"begins", T_ULONGLONG, offsetof(Sites, begins), READONLY, NULL},
    {"begun", T_OBJECT_EX, offsetof(Sites, begun), READONLY, NULL},
    {"pulse", T_ULONGLONG, offsetof(Sites, pulse), READONLY, NULL},
    {"lasting", T_ULONGLONG, offsetof(Sites, lasting), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot sites_slots[] = {
    {Py_tp_doc, (void *)sites_doc},
    {Py_tp_init, sites_init},
    {Py_tp_traverse, sites_traverse},
    {Py_tp_clear, sites_clear},
    {Py_tp_dealloc, sites_dealloc},
    {Py_tp_methods, sites_methods},
    {Py_tp_members, sites_members},
    {0, NULL},
};

static PyType_Spec sites_spec = {
    .name = "pytest_resource_hygiene._speedups.Sites",
    .basicsize = sizeof(Sites),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = sites_slots,
};

/* ---- Openings: the one event that comes by the hundred ---------------------------------------- */

typedef struct {
    PyObject_HEAD
    Sites *sites;
    PyObject *append;
    PyObject *nothing; /* NULL: it is opened by a name */
    Py_ssize_t count;
    vectorcallfunc vectorcall;
} Openings;

PyTypeObject *sites_type = NULL;

/* A weak reference; where there can be none, what stands for it, and that is counted. */
static PyObject *
refer(Openings *self, PyObject *object)
{
    PyObject *reference = PyWeakref_NewRef(object, NULL);
    if (reference == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        self->count++;
        return Py_NewRef(self->nothing);
    }
    return reference;
}

static PyObject *
openings_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Openings *self = (Openings *)callable;
    if (PyVectorcall_NARGS(nargsf) != 1 || kwnames != NULL || !PyTuple_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "Openings takes a tuple: what the event told");
        return NULL;
    }
    if (PyTuple_GET_SIZE(args[0]) == 0) {
        PyErr_SetString(PyExc_ValueError, "the event told nothing");
        return NULL;
    }
    PyObject *what = PyTuple_GET_ITEM(args[0], 0);
    Py_ssize_t count = self->count; /* that of names, or of what is not known by a reference */
    if (self->nothing != NULL)
        what = refer(self, what);
    else if (PyLong_CheckExact(what))
        Py_RETURN_NONE;
    else {
        self->count++;
        Py_INCREF(what);
    }
    if (what == NULL)
        return NULL;
    int passes = self->count == count;
    PyObject *record = take_down(self->sites, what, 0, passes);
    Py_DECREF(what);
    if (record == NULL)
        return NULL;
    PyObject *result = PyObject_CallOneArg(self->append, record);
    Py_DECREF(record);
    return result;
}

PyDoc_STRVAR(openings_doc,
"Openings(sites, append, nothing=None, /)\n--\n\n"
"A handler that takes down what is opened; audit.py has it in Python, and the words for it.");

static int
openings_init(Openings *self, PyObject *args, PyObject *kwargs)
{
    PyObject *sites, *append, *nothing = Py_None;
    if (!PyArg_ParseTuple(args, "O!O|O:Openings", sites_type, &sites, &append, &nothing))
        return -1;
    Py_XSETREF(self->nothing, nothing == Py_None ? NULL : Py_NewRef(nothing));
    Py_XSETREF(self->sites, (Sites *)Py_NewRef(sites));
    Py_XSETREF(self->append, Py_NewRef(append));
    self->count = 0;
    self->vectorcall = openings_call;
    return 0;
}

static int
openings_traverse(Openings *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->sites);
    Py_VISIT(self->append);
    Py_VISIT(self->nothing);
    return 0;
}

static int
openings_clear(Openings *self)
{
    Py_CLEAR(self->sites);
    Py_CLEAR(self->append);
    Py_CLEAR(self->nothing);
    return 0;
}

static void
openings_dealloc(Openings *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    openings_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef openings_members[] = {
    {"count", T_PYSSIZET, offsetof(Openings, count), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Openings, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot openings_slots[] = {
    {Py_tp_doc, (void *)openings_doc},
    {Py_tp_init, openings_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, openings_traverse},
    {Py_tp_clear, openings_clear},
    {Py_tp_dealloc, openings_dealloc},
    {Py_tp_members, openings_members},
    {0, NULL},
};

static PyType_Spec openings_spec = {
    .name = "pytest_resource_hygiene._speedups.Openings",
    .basicsize = sizeof(Openings),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = openings_slots,
};

/* ---- Dup2: called a dozen times in a test by the runner's capture, and then none of ours -------- */

typedef struct {
    PyObject_HEAD
    PyObject *original;
    PyObject *note;
    PyObject *dict; /* functools.wraps puts the name and the words of the original there */
    vectorcallfunc vectorcall;
} Dup2;

static PyObject *
dup2_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Dup2 *self = (Dup2 *)callable;
    PyObject *result = PyObject_Vectorcall(self->original, args, nargsf, kwnames);
    if (result == NULL || !PyLong_Check(result))
        return result;
    long fd = PyLong_AsLong(result);
    if (fd == -1 && PyErr_Occurred()) {
        Py_DECREF(result);
        return NULL;
    }
    if (fd > 2) { /* else a standard stream is put back */
        PyObject *noted = PyObject_CallOneArg(self->note, result);
        if (noted == NULL) {
            Py_DECREF(result);
            return NULL;
        }
        Py_DECREF(noted);
    }
    return result;
}

PyDoc_STRVAR(dup2_doc,
"Dup2(original, note, /)\n--\n\n"
"Stands for ``os.dup2``, and calls ``note(fd)`` for a descriptor that is no standard stream.\n");

static int
dup2_init(Dup2 *self, PyObject *args, PyObject *kwargs)
{
    PyObject *original, *note;
    if (!PyArg_ParseTuple(args, "OO:Dup2", &original, &note))
        return -1;
    Py_XSETREF(self->original, Py_NewRef(original));
    Py_XSETREF(self->note, Py_NewRef(note));
    self->vectorcall = dup2_call;
    return 0;
}

static int
dup2_traverse(Dup2 *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->original);
    Py_VISIT(self->note);
    Py_VISIT(self->dict);
    return 0;
}

static int
dup2_clear(Dup2 *self)
{
    Py_CLEAR(self->original);
    Py_CLEAR(self->note);
    Py_CLEAR(self->dict);
    return 0;
}

static void
dup2_dealloc(Dup2 *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    dup2_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef dup2_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(Dup2, dict), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Dup2, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef wrapper_getset[] = {
    {"__dict__", PyObject_GenericGetDict, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot dup2_slots[] = {
    {Py_tp_doc, (void *)dup2_doc},
    {Py_tp_init, dup2_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, dup2_traverse},
    {Py_tp_clear, dup2_clear},
    {Py_tp_dealloc, dup2_dealloc},
    {Py_tp_members, dup2_members},
    {Py_tp_getset, wrapper_getset},
    {0, NULL},
};

static PyType_Spec dup2_spec = {
    .name = "pytest_resource_hygiene._speedups.Dup2",
    .basicsize = sizeof(Dup2),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = dup2_slots,
};

/* ---- Noting: asyncio's tasks and loops, each of which is told of when it is made ------------------ */

typedef struct {
    PyObject_HEAD
    PyObject *original;
    Sites *sites;
    PyObject *records;  /* list of (weak reference, site) */
    PyObject *overflow; /* called without arguments */
    PyObject *dict;     /* for functools.wraps */
    Py_ssize_t limit;
    char is_quiet;
    vectorcallfunc vectorcall;
} Noting;

static int
note(Noting *self, PyObject *thing)
{
    PyObject *reference = PyWeakref_NewRef(thing, NULL);
    PyObject *where = reference == NULL ? NULL : take_down(self->sites, Py_None, 0, 1);
    PyObject *record = where == NULL ? NULL : PyTuple_Pack(2, reference, where);
    Py_XDECREF(reference);
    Py_XDECREF(where);
    if (record == NULL)
        return -1;
    int failed = PyList_Append(self->records, record);
    Py_DECREF(record);
    if (failed < 0 || PyList_GET_SIZE(self->records) <= self->limit)
        return failed;
    PyObject *result = PyObject_CallNoArgs(self->overflow);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
noting_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Noting *self = (Noting *)callable;
    if (PyVectorcall_NARGS(nargsf) < 1) {
        PyErr_SetString(PyExc_TypeError, "the object that is to be noted is missing");
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(self->original, args, nargsf, kwnames);
    if (result == NULL || self->is_quiet || note(self, args[0]) == 0)
        return result;
    Py_DECREF(result);
    return NULL;
}

PyDoc_STRVAR(noting_doc,
"Noting(original, sites, records, overflow, limit, /)\n--\n\n"
"Stands for a function, and notes its first argument; audit.py has it in Python.\n");

/* As a function does: in a class it is a method. */
static PyObject *
as_method(PyObject *self, PyObject *instance, PyObject *owner)
{
    return instance == NULL ? Py_NewRef(self) : PyMethod_New(self, instance);
}

static int
noting_init(Noting *self, PyObject *args, PyObject *kwargs)
{
    PyObject *original, *sites, *records, *overflow;
    if (!PyArg_ParseTuple(args, "OO!O!On:Noting", &original, sites_type, &sites, &PyList_Type,
                          &records, &overflow, &self->limit))
        return -1;
    Py_XSETREF(self->original, Py_NewRef(original));
    Py_XSETREF(self->sites, (Sites *)Py_NewRef(sites));
    Py_XSETREF(self->records, Py_NewRef(records));
    Py_XSETREF(self->overflow, Py_NewRef(overflow));
    self->vectorcall = noting_call;
    return 0;
}

static int
noting_traverse(Noting *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->original);
    Py_VISIT(self->sites);
    Py_VISIT(self->records);
    Py_VISIT(self->overflow);
    Py_VISIT(self->dict);
    return 0;
}

static int
noting_clear(Noting *self)
{
    Py_CLEAR(self->original);
    Py_CLEAR(self->sites);
    Py_CLEAR(self->records);
    Py_CLEAR(self->overflow);
    Py_CLEAR(self->dict);
    return 0;
}

static void
noting_dealloc(Noting *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    noting_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef noting_members[] = {
    {"limit", T_PYSSIZET, offsetof(Noting, limit), 0, NULL},
    {"is_quiet", T_BOOL, offsetof(Noting, is_quiet), 0, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Noting, dict), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Noting, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot noting_slots[] = {
    {Py_tp_doc, (void *)noting_doc},
    {Py_tp_init, noting_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, noting_traverse},
    {Py_tp_clear, noting_clear},
    {Py_tp_dealloc, noting_dealloc},
    {Py_tp_members, noting_members},
    {Py_tp_getset, wrapper_getset},
    {Py_tp_descr_get, as_method},
    {0, NULL},
};

static PyType_Spec noting_spec = {
    .name = "pytest_resource_hygiene._speedups.Noting",
    .basicsize = sizeof(Noting),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
             | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = noting_slots,
};

/* ---- Unless: pytest hangs six handlers on the root logger and off again in each test ------------- */

typedef struct {
    PyObject_HEAD
    PyObject *original;
    PyObject *otherwise;
    PyObject *classes; /* a set, which may grow */
    PyObject *dict;    /* for functools.wraps */
    vectorcallfunc vectorcall;
} Unless;

static PyObject *
unless_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Unless *self = (Unless *)callable;
    int passes = 0;
    if (PyVectorcall_NARGS(nargsf) == 2 && kwnames == NULL)
        passes = PySet_Contains(self->classes, (PyObject *)Py_TYPE(args[1]));
    if (passes < 0)
        return NULL;
    return PyObject_Vectorcall(passes ? self->original : self->otherwise, args, nargsf, kwnames);
}

PyDoc_STRVAR(unless_doc,
"Unless(original, otherwise, classes, /)\n--\n\n"
"Stands for a method that something else is called for; audit.py has it in Python, and the words.\n");

static int
unless_init(Unless *self, PyObject *args, PyObject *kwargs)
{
    PyObject *original, *otherwise, *classes;
    if (!PyArg_ParseTuple(args, "OOO!:Unless", &original, &otherwise, &PySet_Type, &classes))
        return -1;
    Py_XSETREF(self->original, Py_NewRef(original));
    Py_XSETREF(self->otherwise, Py_NewRef(otherwise));
    Py_XSETREF(self->classes, Py_NewRef(classes));
    self->vectorcall = unless_call;
    return 0;
}

static int
unless_traverse(Unless *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->original);
    Py_VISIT(self->otherwise);
    Py_VISIT(self->classes);
    Py_VISIT(self->dict);
    return 0;
}

static int
unless_clear(Unless *self)
{
    Py_CLEAR(self->original);
    Py_CLEAR(self->otherwise);
    Py_CLEAR(self->classes);
    Py_CLEAR(self->dict);
    return 0;
}

static void
unless_dealloc(Unless *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    unless_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef unless_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(Unless, dict), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Unless, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot unless_slots[] = {
    {Py_tp_doc, (void *)unless_doc},
    {Py_tp_init, unless_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, unless_traverse},
    {Py_tp_clear, unless_clear},
    {Py_tp_dealloc, unless_dealloc},
    {Py_tp_members, unless_members},
    {Py_tp_getset, wrapper_getset},
    {Py_tp_descr_get, as_method},
    {0, NULL},
};

static PyType_Spec unless_spec = {
    .name = "pytest_resource_hygiene._speedups.Unless",
    .basicsize = sizeof(Unless),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL
             | Py_TPFLAGS_METHOD_DESCRIPTOR,
    .slots = unless_slots,
};

/* ---- Handling: a runner sets a handler in each async test, and puts back the interpreter's own ---- */

typedef struct {
    PyObject_HEAD
    PyObject *original;
    Sites *sites;
    PyObject *often;    /* a set of numbers */
    PyObject *calls;    /* list of (number, reference, what undoes it, site) */
    PyObject *first;    /* stands in a slot before anybody has set one, as numbers do */
    PyObject *refer;    /* returns a reference to what we cannot refer to */
    PyObject *overflow; /* called after more calls than the limit */
    PyObject *dict;     /* for functools.wraps */
    Py_ssize_t limit;
    Py_ssize_t others;
    vectorcallfunc vectorcall;
} Handling;

/* Whether the last call is undone by one with this site; -1 with an exception set. */
static int
undoes_last(Handling *self, PyObject *number, PyObject *handler, PyObject *where)
{
    Py_ssize_t count = PyList_GET_SIZE(self->calls);
    PyObject *last = count > 0 ? PyList_GET_ITEM(self->calls, count - 1) : NULL;
    if (last == NULL || !PyTuple_Check(last) || PyTuple_GET_SIZE(last) != 4
        || PyTuple_GET_ITEM(last, 2) != handler)
        return 0;
    PyObject *then = PyTuple_GET_ITEM(PyTuple_GET_ITEM(last, 3), 0);
    PyObject *now = PyTuple_GET_ITEM(where, 0);
    if (PyTuple_GET_SIZE(then) == 0 || PyTuple_GET_SIZE(now) == 0
        || PyTuple_GET_ITEM(then, 0) != PyTuple_GET_ITEM(now, 0))
        return 0;
    return PyObject_RichCompareBool(PyTuple_GET_ITEM(last, 0), number, Py_EQ);
}

/* A new reference to what refers to a handler, or to None where nothing has to. */
static PyObject *
refer_to(Handling *self, PyObject *handler)
{
    if (PyLong_Check(handler) || Py_IS_TYPE(handler, &PyCFunction_Type))
        return Py_NewRef(Py_None);
    if (Py_IS_TYPE(handler, &PyMethod_Type))
        return PyObject_CallOneArg(self->refer, handler);
    PyObject *reference = PyWeakref_NewRef(handler, NULL);
    if (reference == NULL && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        return Py_NewRef(Py_None);
    }
    return reference;
}

static int
put_down(Handling *self, PyObject *number, PyObject *handler, PyObject *former, PyObject *where)
{
    PyObject *reference = refer_to(self, handler);
    if (reference == NULL)
        return -1;
    int is_first = former == self->first || PyLong_Check(former);
    PyObject *call = PyTuple_Pack(4, number, reference, is_first ? former : Py_None, where);
    Py_DECREF(reference);
    int failed = call == NULL ? -1 : PyList_Append(self->calls, call);
    Py_XDECREF(call);
    if (failed == 0 && PyList_GET_SIZE(self->calls) > self->limit) {
        PyObject *done = PyObject_CallNoArgs(self->overflow);
        Py_XDECREF(done);
        failed = done == NULL ? -1 : 0;
    }
    return failed;
}

static int
note_handling(Handling *self, PyObject *number, PyObject *handler, PyObject *former)
{
    int is_often = PySet_Contains(self->often, number);
    if (is_often < 0)
        return -1;
    self->others += !is_often;
    PyObject *where = take_down(self->sites, Py_None, 0, is_often);
    if (where == NULL)
        return -1;
    int undone = undoes_last(self, number, handler, where);
    if (undone > 0) {
        Py_ssize_t count = PyList_GET_SIZE(self->calls);
        undone = PyList_SetSlice(self->calls, count - 1, count, NULL) < 0 ? -1 : 1;
    }
    if (undone == 0)
        undone = put_down(self, number, handler, former, where);
    Py_DECREF(where);
    return undone < 0 ? -1 : 0;
}

static PyObject *
handling_call(PyObject *callable, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    Handling *self = (Handling *)callable;
    PyObject *former = PyObject_Vectorcall(self->original, args, nargsf, kwnames);
    if (former == NULL)
        return NULL;
    PyObject *given[2] = {NULL, NULL};
    Py_ssize_t count = PyVectorcall_NARGS(nargsf);
    for (Py_ssize_t i = 0; i < count && i < 2; i++)
        given[i] = args[i];
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        int is_number = PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, i), "signalnum");
        given[is_number == 0 ? 0 : 1] = args[count + i];
    }
    if (given[0] != NULL && given[1] != NULL && note_handling(self, given[0], given[1], former) < 0)
        Py_CLEAR(former);
    return former;
}

PyDoc_STRVAR(handling_doc,
"Handling(original, sites, often, calls, first, refer, overflow, limit, /)\n--\n\n"
"Stands for ``signal.signal``; trackers/_signal_calls.py has it in Python, and the words for it.\n");

static int
handling_init(Handling *self, PyObject *args, PyObject *kwargs)
{
    PyObject *original, *sites, *often, *calls, *first, *refer, *overflow;
    Py_ssize_t limit;
    if (!PyArg_ParseTuple(args, "OO!OO!OOOn:Handling", &original, sites_type, &sites, &often,
                          &PyList_Type, &calls, &first, &refer, &overflow, &limit))
        return -1;
    if (!PyAnySet_Check(often)) {
        PyErr_SetString(PyExc_TypeError, "often must be a set");
        return -1;
    }
    Py_XSETREF(self->original, Py_NewRef(original));
    Py_XSETREF(self->sites, (Sites *)Py_NewRef(sites));
    Py_XSETREF(self->often, Py_NewRef(often));
    Py_XSETREF(self->calls, Py_NewRef(calls));
    Py_XSETREF(self->first, Py_NewRef(first));
    Py_XSETREF(self->refer, Py_NewRef(refer));
    Py_XSETREF(self->overflow, Py_NewRef(overflow));
    self->limit = limit;
    self->vectorcall = handling_call;
    return 0;
}

static int
handling_traverse(Handling *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->original);
    Py_VISIT(self->sites);
    Py_VISIT(self->often);
    Py_VISIT(self->calls);
    Py_VISIT(self->first);
    Py_VISIT(self->refer);
    Py_VISIT(self->overflow);
    Py_VISIT(self->dict);
    return 0;
}

static int
handling_clear(Handling *self)
{
    Py_CLEAR(self->original);
    Py_CLEAR(self->sites);
    Py_CLEAR(self->often);
    Py_CLEAR(self->calls);
    Py_CLEAR(self->first);
    Py_CLEAR(self->refer);
    Py_CLEAR(self->overflow);
    Py_CLEAR(self->dict);
    return 0;
}

static void
handling_dealloc(Handling *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    handling_clear(self);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMemberDef handling_members[] = {
    {"others", T_PYSSIZET, offsetof(Handling, others), READONLY, NULL},
    {"__dictoffset__", T_PYSSIZET, offsetof(Handling, dict), READONLY, NULL},
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(Handling, vectorcall), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot handling_slots[] = {
    {Py_tp_doc, (void *)handling_doc},
    {Py_tp_init, handling_init},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_traverse, handling_traverse},
    {Py_tp_clear, handling_clear},
    {Py_tp_dealloc, handling_dealloc},
    {Py_tp_members, handling_members},
    {Py_tp_getset, wrapper_getset},
    {0, NULL},
};

static PyType_Spec handling_spec = {
    .name = "pytest_resource_hygiene._speedups.Handling",
    .basicsize = sizeof(Handling),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = handling_slots,
};

/* ---- What is open ----------------------------------------------------------------------------- */

#ifdef __linux__
typedef struct {
    int number;
    struct stat status;
} Descriptor;

/* The rest run without Python, so that others may run. Each returns how many there are, or -1 with
 * errno set; `*found` is to be freed. */

/* Numbers are handed out from below, so nearly all that are tried are open; to be listed by the
 * kernel, each would cost five times as much. Returns -1 if there are gaps, or if others open and
 * close meanwhile; and before Linux 6.2, where the folder does not tell how many there are. */
static Py_ssize_t
try_numbers(const char *path, Descriptor **found)
{
    struct stat folder;
    Py_ssize_t count = 0;
    if (stat(path, &folder) < 0 || folder.st_size <= 0)
        return -1;
    Py_ssize_t room = folder.st_size, limit = 2 * room + 256;
    Descriptor *all = *found = malloc(room * sizeof(Descriptor));
    for (int number = 0; all != NULL && number < limit && count < room; number++) {
        all[count].number = number;
        if (fstat(number, &all[count].status) == 0)
            count++;
    }
    if (count == room && stat(path, &folder) == 0 && folder.st_size == room)
        return count;
    free(all);
    *found = NULL;
    return -1;
}

static Py_ssize_t
read_folder(const char *path, Descriptor **found)
{
    Py_ssize_t count = 0, room = 64;
    struct dirent *entry;
    DIR *folder = opendir(path);
    *found = NULL;
    if (folder == NULL)
        return -1;
    Descriptor *all = malloc(room * sizeof(Descriptor));
    while (all != NULL && (entry = readdir(folder)) != NULL) {
        int number = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || number == dirfd(folder))
            continue;
        if (count == room) {
            Descriptor *larger = realloc(all, (room *= 2) * sizeof(Descriptor));
            if (larger == NULL) {
                free(all);
                all = NULL;
                break;
            }
            all = larger;
        }
        all[count].number = number;
        if (fstat(number, &all[count].status) == 0) /* else closed meanwhile by a thread */
            count++;
    }
    closedir(folder);
    *found = all;
    if (all == NULL)
        errno = ENOMEM;
    return all == NULL ? -1 : count;
}
#endif

#ifdef __linux__
static PyObject *
as_item(const Descriptor *found, PyObject *text)
{
    const struct stat *status = &found->status;
    PyObject *item = PyTuple_New(5);
    if (item == NULL)
        return NULL;
    PyTuple_SET_ITEM(item, 0, PyLong_FromLong(found->number));
    PyTuple_SET_ITEM(item, 1, PyLong_FromUnsignedLongLong(status->st_dev));
    PyTuple_SET_ITEM(item, 2, PyLong_FromUnsignedLongLong(status->st_ino));
    PyTuple_SET_ITEM(item, 3, PyLong_FromLong(status->st_mode & S_IFMT));
    PyTuple_SET_ITEM(item, 4, Py_NewRef(text));
    for (Py_ssize_t i = 0; i < 4; i++) {
        if (PyTuple_GET_ITEM(item, i) == NULL) {
            Py_DECREF(item);
            return NULL;
        }
    }
    PyObject_GC_UnTrack(item); /* numbers: nothing for the collector */
    return item;
}
#endif

PyDoc_STRVAR(descriptors_doc,
"descriptors(path, /)\n--\n\n"
"Return number, device, inode and form of each open descriptor, and \"\", by a folder of them.\n\n"
"Raises:\n"
"    OSError: the folder cannot be read.\n");

static PyObject *
descriptors(PyObject *module, PyObject *path)
{
#ifdef __linux__
    const char *text = PyUnicode_AsUTF8(path);
    Descriptor *found;
    Py_ssize_t count;
    if (text == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS
    count = try_numbers(text, &found);
    if (count < 0)
        count = read_folder(text, &found);
    Py_END_ALLOW_THREADS
    if (count < 0)
        return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
    PyObject *list = PyList_New(count), *nothing = PyUnicode_FromString("");
    for (Py_ssize_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = nothing == NULL ? NULL : as_item(&found[i], nothing);
        if (item == NULL)
            Py_CLEAR(list);
        else
            PyList_SET_ITEM(list, i, item);
    }
    Py_XDECREF(nothing);
    free(found);
    return list;
#else
    errno = ENOSYS;
    return PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, path);
#endif
}

PyDoc_STRVAR(state_of_doc,
"state_of(fd, /)\n--\n\n"
"Return the inode, the size and the number of links of what a descriptor points to.\n\n"
"Raises:\n"
"    OSError: it is not open.\n");

static PyObject *
state_of(PyObject *module, PyObject *fd)
{
#ifdef __linux__
    struct stat status;
    long number = PyLong_AsLong(fd);
    if (number == -1 && PyErr_Occurred())
        return NULL;
    if (fstat((int)number, &status) < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    PyObject *inode = PyLong_FromUnsignedLongLong(status.st_ino);
    PyObject *size = PyLong_FromLongLong(status.st_size);
    PyObject *links = PyLong_FromUnsignedLongLong(status.st_nlink);
    PyObject *facts = NULL;
    if (inode != NULL && size != NULL && links != NULL)
        facts = PyTuple_Pack(3, inode, size, links);
    Py_XDECREF(inode);
    Py_XDECREF(size);
    Py_XDECREF(links);
    return facts;
#else
    errno = ENOSYS;
    return PyErr_SetFromErrno(PyExc_OSError);
#endif
}

/* ---- Children -------------------------------------------------------------------------------- */

PyDoc_STRVAR(make_zombie_doc,
"make_zombie()\n--\n\n"
"Start a child that ends at once, to be waited for; return its id.\n\n"
"Raises:\n"
"    OSError: no child can be had, or not here.\n");

static PyObject *
make_zombie(PyObject *module, PyObject *unused)
{
#ifdef __linux__
    /* It borrows our memory, which saves the copy of it, and touches nothing. */
    pid_t child = vfork();
    if (child == 0)
        _exit(0);
    if (child > 0)
        return PyLong_FromLong(child);
#else
    errno = ENOSYS;
#endif
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- Objects ----------------------------------------------------------------------------------- */

PyDoc_STRVAR(untrack_doc,
"untrack(thing, /)\n--\n\n"
"Have the collector pass an object by, which has to have no part in any cycle when it is dropped.\n");

static PyObject *
untrack(PyObject *module, PyObject *thing)
{
    if (PyObject_IS_GC(thing))
        PyObject_GC_UnTrack(thing);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(instances_doc,
"instances(objects, classes, /)\n--\n\n"
"Return those of a list whose real type is, or derives from, one of a tuple of classes.\n");

static PyObject *
instances(PyObject *module, PyObject *args)
{
    PyObject *objects, *classes;
    if (!PyArg_ParseTuple(args, "O!O!:instances", &PyList_Type, &objects, &PyTuple_Type, &classes))
        return NULL;
    for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(classes); n++) {
        if (!PyType_Check(PyTuple_GET_ITEM(classes, n))) {
            PyErr_SetString(PyExc_TypeError, "classes must be a tuple of types");
            return NULL;
        }
    }
    PyObject *found = PyList_New(0);
    for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(objects); i++) {
        PyObject *object = PyList_GET_ITEM(objects, i);
        for (Py_ssize_t n = 0; n < PyTuple_GET_SIZE(classes); n++) {
            if (!PyObject_TypeCheck(object, (PyTypeObject *)PyTuple_GET_ITEM(classes, n)))
                continue;
            if (PyList_Append(found, object) < 0)
                Py_CLEAR(found);
            break;
        }
    }
    return found;
}

/* Whether the object of a record is there, and its method says that it is not over; -1 with an
 * exception set. */
static int
is_pending(PyObject *record, PyObject *method)
{
    PyObject *object = PyObject_CallNoArgs(PyTuple_GET_ITEM(record, 0));
    if (object == NULL)
        return -1;
    PyObject *over = object == Py_None ? Py_NewRef(Py_True)
                                       : PyObject_CallMethodNoArgs(object, method);
    int is_over = over == NULL ? -1 : PyObject_IsTrue(over);
    Py_XDECREF(over);
    Py_DECREF(object);
    return is_over < 0 ? -1 : !is_over;
}

PyDoc_STRVAR(pending_doc,
"pending(records, method, /)\n--\n\n"
"Drop the records that are over from a list; objects.py has it in Python, and the words for it.\n");

static PyObject *
still_pending(PyObject *records, PyObject *method)
{
    PyObject *kept = PyList_New(0), *references = PyList_New(0);
    Py_ssize_t seen = 0; /* a method may run anything, which may add to the records */
    int failed = kept == NULL || references == NULL;
    while (!failed && seen < PyList_GET_SIZE(records)) {
        PyObject *record = Py_NewRef(PyList_GET_ITEM(records, seen++));
        int keep = -1;
        if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) == 0
            || !PyWeakref_Check(PyTuple_GET_ITEM(record, 0)))
            PyErr_SetString(PyExc_TypeError, "a record begins with a weak reference");
        else
            keep = is_pending(record, method);
        failed = keep < 0
                 || (keep
                     && (PyList_Append(kept, record) < 0
                         || PyList_Append(references, PyTuple_GET_ITEM(record, 0)) < 0));
        Py_DECREF(record);
    }
    if (!failed && PyList_GET_SIZE(kept) < seen)
        failed = PyList_SetSlice(records, 0, seen, kept) < 0;
    Py_XDECREF(kept);
    if (failed)
        Py_CLEAR(references);
    return references;
}

static PyObject *
pending(PyObject *module, PyObject *args)
{
    PyObject *records, *method;
    if (!PyArg_ParseTuple(args, "O!U:pending", &PyList_Type, &records, &method))
        return NULL;
    return still_pending(records, method);
}

/* Whether the object has a true attribute of one of these names; -1 with an exception set. */
static int
has_any_of(PyObject *object, PyObject *names)
{
    int found = 0;
    for (Py_ssize_t i = 0; found == 0 && i < PyTuple_GET_SIZE(names); i++) {
        PyObject *value = PyObject_GetAttr(object, PyTuple_GET_ITEM(names, i));
        if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
            PyErr_Clear();
            continue;
        }
        found = value == NULL ? -1 : PyObject_IsTrue(value);
        Py_XDECREF(value);
    }
    return found;
}

PyDoc_STRVAR(is_idle_doc,
"is_idle(records, method, object, names, /)\n--\n\n"
"Return whether nothing hangs on an object; objects.py has it in Python, and the words for it.\n");

static PyObject *
is_idle(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 4 || !PyList_Check(args[0]) || !PyUnicode_Check(args[1])
        || !PyTuple_Check(args[3])) {
        PyErr_SetString(PyExc_TypeError, "is_idle takes a list, a name, an object and names");
        return NULL;
    }
    PyObject *left = still_pending(args[0], args[1]);
    if (left == NULL)
        return NULL;
    int hangs = PyList_GET_SIZE(left) > 0;
    Py_DECREF(left);
    if (!hangs)
        hangs = has_any_of(args[2], args[3]);
    return hangs < 0 ? NULL : PyBool_FromLong(!hangs);
}

/* ---- Orphans --------------------------------------------------------------------------------- */

PyDoc_STRVAR(set_subreaper_doc,
"set_subreaper(value, /)\n--\n\n"
"Have orphaned grandchildren handed to this process, or no longer; prctl(2).\n\n"
"Returns:\n"
"    The former setting, or None where there is no such thing.\n");

static PyObject *
set_subreaper(PyObject *module, PyObject *value)
{
#ifdef __linux__
    int former = 0;
    long wanted = PyLong_AsLong(value);
    if (wanted == -1 && PyErr_Occurred())
        return NULL;
    if (prctl(PR_GET_CHILD_SUBREAPER, &former, 0, 0, 0) == 0
        && prctl(PR_SET_CHILD_SUBREAPER, wanted, 0, 0, 0) == 0)
        return PyLong_FromLong(former);
#endif
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"descriptors", descriptors, METH_O, descriptors_doc},
    {"instances", instances, METH_VARARGS, instances_doc},
    {"make_zombie", make_zombie, METH_NOARGS, make_zombie_doc},
    {"is_idle", _PyCFunction_CAST(is_idle), METH_FASTCALL, is_idle_doc},
    {"pending", pending, METH_VARARGS, pending_doc},
    {"set_handlers", set_handlers, METH_O, set_handlers_doc},
    {"set_subreaper", set_subreaper, METH_O, set_subreaper_doc},
    {"state_of", state_of, METH_O, state_of_doc},
    {"untrack", untrack, METH_O, untrack_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_speedups",
    .m_doc = PyDoc_STR("The audit hook and the walk of the frames, in C."),
    .m_size = -1, /* one state for the process: other interpreters use audit.py's own */
    .m_methods = methods,
};

PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec, const char *name)
{
    PyObject *type = PyType_FromSpec(spec);
    if (type == NULL)
        return NULL;
    int failed = PyModule_AddObjectRef(module, name, type) < 0;
    Py_DECREF(type);
    return failed ? NULL : (PyTypeObject *)type;
}

PyMODINIT_FUNC
PyInit__speedups(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    sites_type = add_type(module, &sites_spec, "Sites");
    if (sites_type == NULL || add_type(module, &openings_spec, "Openings") == NULL
        || add_type(module, &dup2_spec, "Dup2") == NULL
        || add_type(module, &noting_spec, "Noting") == NULL
        || add_type(module, &unless_spec, "Unless") == NULL
        || add_type(module, &handling_spec, "Handling") == NULL || add_probes(module) < 0
        || PyModule_AddIntConstant(module, "INTERFACE", INTERFACE) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
