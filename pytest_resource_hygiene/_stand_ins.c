/* What stands for a function that is called in every test, and what records openings: in C, for what
 * it costs is added to somebody's call. Each has its twin in Python, in audit.py or beside its user.
 */

#include "_speedups.h"
#include <stddef.h>
#include <structmember.h>

/* ---- Openings: the one event that comes by the hundred ---------------------------------------- */

typedef struct {
    PyObject_HEAD
    Sites *sites;
    PyObject *append;
    PyObject *nothing; /* NULL: it is opened by a name */
    Py_ssize_t count;
    vectorcallfunc vectorcall;
} Openings;

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

/* The last record if it is the same in all parts: a loop that opens one file makes one, not thousands
 * for the collector to count. Not those of other threads, which are told apart by which object it is.
 * Steals `record`. */
static PyObject *
shared(Openings *self, PyObject *record)
{
    PyObject *records = PyCFunction_Check(self->append) ? PyCFunction_GET_SELF(self->append) : NULL;
    Py_ssize_t length = records != NULL && PySequence_Check(records) ? PySequence_Size(records) : 0;
    if (length <= 0 || PyTuple_GET_ITEM(record, SITE_PARENT) != Py_None) {
        PyErr_Clear();
        return record;
    }
    PyObject *last = PySequence_GetItem(records, length - 1);
    int same = last != NULL && PyTuple_CheckExact(last) && PyTuple_GET_SIZE(last) == SITE_PARTS;
    for (Py_ssize_t i = 0; same && i < SITE_PARTS; i++)
        same = PyTuple_GET_ITEM(last, i) == PyTuple_GET_ITEM(record, i);
    if (!same) {
        PyErr_Clear();
        Py_XDECREF(last);
        return record;
    }
    Py_DECREF(record);
    return last;
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
    record = shared(self, record);
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

/* Whoever unpickles it, in another process, need not have us. */
static PyObject *
dup2_reduce(PyObject *self, PyObject *unused)
{
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyMethodDef dup2_methods[] = {
    {"__reduce__", dup2_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot dup2_slots[] = {
    {Py_tp_methods, dup2_methods},
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
    unsigned long quiet_thread; /* in which nothing is noted; 0 for none */
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
    if (result == NULL)
        return NULL;
    if (self->quiet_thread != 0 && self->quiet_thread == PyThread_get_thread_ident())
        return result;
    if (note(self, args[0]) == 0)
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
    {"quiet_thread", T_ULONG, offsetof(Noting, quiet_thread), 0, NULL},
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

int
add_stand_ins(PyObject *module)
{
    return add_type(module, &openings_spec, "Openings") == NULL
                   || add_type(module, &dup2_spec, "Dup2") == NULL
                   || add_type(module, &noting_spec, "Noting") == NULL
                   || add_type(module, &unless_spec, "Unless") == NULL
                   || add_type(module, &handling_spec, "Handling") == NULL
               ? -1
               : 0;
}
